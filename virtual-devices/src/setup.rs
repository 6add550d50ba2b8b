//! A model, set up: its encryption and one setting of each group.

use dukpt::tdes::{Cipher, Variant};
use p2pe_crypto::{DeviceProfile, Encryption};

use crate::{Model, Setting, setting::CONFLICTS};

/// How a virtual device is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    model: Model,
    profile: DeviceProfile,
    settings: Vec<Setting>,
}

impl Setup {
    /// A model with this encryption and these settings, and the default of each group of which none is named.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(model: Model, encryption: Encryption, named: &[Setting]) -> Result<Self, SetupError> {
        if let Some(&other) = named.iter().find(|named| !model.settings().iter().any(|group| group.contains(named))) {
            return Err(SetupError::NotOfModel(model, other));
        }
        let mut settings = Vec::new();
        for group in model.settings() {
            let mut of_group = named.iter().filter(|named| group.contains(named));
            let chosen = of_group.next().or(group.first());
            if let (Some(&one), Some(&other)) = (chosen, of_group.find(|other| Some(*other) != chosen)) {
                return Err(SetupError::Conflict(one, other));
            }
            settings.extend(chosen);
        }
        let both = |(one, other): &&(Setting, Setting)| settings.contains(one) && settings.contains(other);
        if let Some(&(one, other)) = CONFLICTS.iter().find(both) {
            return Err(SetupError::Conflict(one, other));
        }
        let family = if settings.contains(&Setting::TransArmor) { "idtech-transarmor" } else { model.family() };
        // With the response key the host encrypts. How long a session id is under AES is not documented.
        let cannot_be = match encryption {
            Encryption::Tdes(Variant::DataResponse, _) => true,
            Encryption::Tdes(_, Cipher::Tdes) => false,
            Encryption::Tdes(_, Cipher::Aes128) => model.only_tdes() || settings.contains(&Setting::SessionId),
            Encryption::Aes(_) => model.only_tdes(),
        };
        match format!("{family}-{encryption}").parse() {
            Ok(profile) if !cannot_be => Ok(Self { model, profile, settings }),
            _ => Err(SetupError::Encryption(model, encryption)),
        }
    }

    /// A model as it usually comes.
    ///
    /// # Errors
    /// None: every model has a usual setup.
    pub fn usual(model: Model) -> Result<Self, SetupError> {
        Self::new(model, model.usual_encryption(), &[])
    }

    /// Every setup that the model has.
    pub fn all(model: Model) -> impl Iterator<Item = Self> {
        let mut choices = vec![Vec::new()];
        for group in model.settings() {
            let with = |chosen: &Vec<Setting>, setting: &Setting| [&chosen[..], &[*setting]].concat();
            choices =
                choices.iter().flat_map(|chosen| group.iter().map(move |setting| with(chosen, setting))).collect();
        }
        choices.into_iter().flat_map(move |settings| {
            Encryption::all().filter_map(move |encryption| Self::new(model, encryption, &settings).ok())
        })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> Model {
        self.model
    }

    /// The profile that a gateway has to have for such devices.
    #[must_use]
    pub fn profile(&self) -> DeviceProfile {
        self.profile
    }

    /// One setting of each group, in the order of [`Model::settings`].
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    pub(crate) fn has(&self, setting: Setting) -> bool {
        self.settings.contains(&setting)
    }

    /// Whether the TDES DUKPT key is used as an AES key.
    pub(crate) fn is_aes(&self) -> bool {
        matches!(self.profile.encryption(), Encryption::Tdes(_, Cipher::Aes128))
    }

    pub(crate) fn is_pin_variant(&self) -> bool {
        matches!(self.profile.encryption(), Encryption::Tdes(Variant::Pin, _))
    }
}

/// Why no device is set up like this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetupError {
    /// The model has no such setting.
    #[error("{0} has no setting {1}")]
    NotOfModel(Model, Setting),
    /// These exclude each other.
    #[error("{0} and {1} exclude each other")]
    Conflict(Setting, Setting),
    /// The model, with these settings, does not encrypt like this.
    #[error("{0} does not encrypt with {1} when set like this")]
    Encryption(Model, Encryption),
}
