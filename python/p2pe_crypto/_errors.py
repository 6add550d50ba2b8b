"""The exceptions, defined once. The native module raises them and defines none of its own."""


class Error(Exception):
    """Anything that went wrong. No message shows a card number, a key or a PIN.

    ``code`` is a stable name for logs and reports; the message may be reworded.
    """

    code: str

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


class ArgumentError(Error, ValueError):
    """An argument that cannot be.

    Code ``merchant_format``, ``track_number``, ``payload_format``, ``audit_actor``, ``audit_sync``,
    ``policy`` (what a policy cannot be), ``purpose`` or ``name_format`` (of a caller or request).
    """


class ConfigError(Error):
    """The settings cannot be: a file, name, prefix or profile. Code ``config``.

    Code ``config_seal`` if they must be sealed, and the seal is missing or wrong.
    """


class MemoryProtectionError(Error):
    """The system does not keep this process's memory to itself. Code ``memory_not_locked``."""


class AuditError(Error):
    """The audit log cannot be written, or is not what was written.

    Codes as ``audit_busy``, ``audit_file``, ``audit_forked``; ``audit_changed``, ``audit_order``,
    ``audit_missing_file``, ``audit_end_removed``.
    """


class PayloadError(Error):
    """The bytes are not a payload that can be taken. Nothing was decrypted.

    Codes as ``truncated``, ``lrc_mismatch``, ``counter_zero``, ``unsupported_mac``. ``offset`` is
    the byte of the payload, counted from 0, where the field or check at fault begins, or where the
    payload ends too early; ``None`` if something is missing, or came out of the decryption.
    """

    offset: int | None

    def __init__(self, message: str, code: str, offset: int | None = None) -> None:
        super().__init__(message, code)
        self.args = (message, code, offset)
        self.offset = offset


class ClearAccountDataError(PayloadError):
    """The alarm: a card number stands in the payload unencrypted. Code ``clear_account_data``.

    Wipe every copy of the payload and take the device out of service.
    """


class DeviceError(Error):
    """The configured devices do not fit the payload. Nothing was decrypted.

    Code ``unknown_device`` (no KSN prefix fits) or ``profile_mismatch``.
    """


class DecryptError(Error):
    """The clear text is not a card's: wrong key, wrong profile or damaged data. Which, is not told.

    Code ``decrypt_failed``.
    """


class StoreError(Error):
    """The key store cannot do its part. Code ``store_closed``, or that of a subclass.

    ``function`` and ``return_code`` are the PKCS#11 function that failed, as ``C_DeriveKey``, and
    the ``CK_RV`` that it returned; ``None`` if no call failed.
    """

    function: str | None
    return_code: int | None

    def __init__(
        self,
        message: str,
        code: str,
        function: str | None = None,
        return_code: int | None = None,
    ) -> None:
        super().__init__(message, code)
        self.args = (message, code, function, return_code)
        self.function = function
        self.return_code = return_code


class TokenOpenError(StoreError):
    """No token: module, token or PIN not found, or the device refuses. Code ``token_open``."""


class WrongPinError(TokenOpenError):
    """The token refuses the PIN. Do not try again: tokens lock after a few."""


class KeyStoreError(StoreError):
    """A key is missing, unsafe or of another kind, or the device failed.

    Codes as ``key_not_found``, ``key_device``.
    """


class PoolError(StoreError):
    """A pool has no result. Ask again later, but for ``pool_stopped``: the token refused the PIN.

    Code ``pool_overloaded`` (too many calls wait), ``pool_deadline`` (no answer in time),
    ``pool_unavailable`` (the token is away and is being opened again), ``pool_stopped``,
    ``pool_panicked``, ``pool_closed``, ``pool_forked``.
    """


class SelfTestError(StoreError):
    """Host or token computes wrongly: a known answer came out wrong. Code ``self_test``.

    Nothing is served, and nothing will be until the store is opened again.
    """


class VaultError(Error):
    """The vault did not do what it was asked. A code as below, or that of a subclass.

    ``purpose_not_permitted``; ``request_reused`` (for another card or policy); ``policy_replaced``;
    ``data_key_spent`` (rotate it); ``row_corrupted``; ``vault_not_initialised``;
    ``vault_already_initialised``; ``vault_wrong_key``; ``vault_closed``; ``no_randomness``.
    """


class CardError(VaultError, ValueError):
    """The card gets no token under this policy.

    Code ``pan_format``, ``expiry_format``, ``expiry_and_policy`` (the policy wants a date and there
    is none, or the other way round), ``check_digit`` (mistyped, or a token), ``already_token``,
    ``token_length``, ``bin_not_kept``, ``tokens_exhausted`` or ``token_form``.
    """


class UnknownTokenError(VaultError):
    """No such token at this merchant, or it has ended or was used. Which, is not told.

    Code ``unknown_token``.
    """


class RateLimitedError(VaultError):
    """The caller has asked too often within a minute: wait. Code ``rate_limited``."""


class DatabaseError(VaultError):
    """The database of the vault does not do its work.

    Code ``database_unavailable`` (whether it was done is unknown: ask again), ``database_full``,
    ``database_address``, ``database_newer``, ``database_malformed``, ``database_not_durable`` or
    ``database``.
    """


for _exception in (
    Error,
    ArgumentError,
    AuditError,
    ConfigError,
    MemoryProtectionError,
    PayloadError,
    ClearAccountDataError,
    DeviceError,
    DecryptError,
    StoreError,
    TokenOpenError,
    WrongPinError,
    KeyStoreError,
    SelfTestError,
    PoolError,
    VaultError,
    CardError,
    UnknownTokenError,
    RateLimitedError,
    DatabaseError,
):
    _exception.__module__ = "p2pe_crypto"
del _exception
