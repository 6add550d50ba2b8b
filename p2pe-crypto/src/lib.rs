//! Encrypted card payloads in, card data and tokens out; keys stay in a dukpt::KeyStore
