//! ID TECH: the enhanced and the original frames, swiped and keyed, and the XML message.

mod enhanced;
pub(super) mod framing;
mod keyed;
mod layout;
mod original;
mod xml;

pub use enhanced::Frame;
pub(super) use enhanced::Inner;
pub use framing::Form;
pub use keyed::KeyedFrame;
pub use original::OriginalFrame;
pub use xml::XmlMessage;
