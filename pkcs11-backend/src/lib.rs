//! The dukpt joint inside a PKCS#11 token: AES DUKPT wholly inside, TDES DUKPT as a hybrid
