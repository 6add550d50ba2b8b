"""Decrypt P2PE card payloads with the keys in your HSM.

No Python object ever holds a key or a PIN. Card numbers, tracks and security codes are shown
masked; ``reveal()`` gives them in clear, as a ``str`` that Python cannot wipe.
"""

from p2pe_crypto._errors import (
    ArgumentError,
    ClearAccountDataError,
    ConfigError,
    DecryptError,
    DeviceError,
    Error,
    KeyStoreError,
    MemoryProtectionError,
    PayloadError,
    PoolError,
    SelfTestError,
    StoreError,
    TokenOpenError,
    WrongPinError,
)
from p2pe_crypto._native import (
    CardData,
    Case,
    Device,
    Gateway,
    Pan,
    Payload,
    Report,
    Secret,
    SensitiveData,
    Store,
    __version__,
    open,
    protect_memory,
    run_conformance,
)

__all__ = [
    "ArgumentError",
    "CardData",
    "Case",
    "ClearAccountDataError",
    "ConfigError",
    "DecryptError",
    "Device",
    "DeviceError",
    "Error",
    "Gateway",
    "KeyStoreError",
    "MemoryProtectionError",
    "Pan",
    "Payload",
    "PayloadError",
    "PoolError",
    "Report",
    "Secret",
    "SelfTestError",
    "SensitiveData",
    "Store",
    "StoreError",
    "TokenOpenError",
    "WrongPinError",
    "__version__",
    "open",
    "protect_memory",
    "run_conformance",
]
