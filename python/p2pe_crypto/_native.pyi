"""Types of the private native module: import `p2pe_crypto`. `help()` tells what each one means."""

from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import (
    Final,
    Literal,
    NoReturn,
    Protocol,
    Self,
    SupportsIndex,
    TypedDict,
    final,
    overload,
    type_check_only,
)

from ._errors import Error, VaultError

__all__ = [
    "__version__",
    "ArrowTokens",
    "AuditLog",
    "CardData",
    "CardOnFile",
    "Case",
    "Device",
    "Gateway",
    "Pan",
    "Payload",
    "Policy",
    "Profile",
    "Report",
    "Secret",
    "SensitiveData",
    "Store",
    "Vault",
    "Verified",
    "open",
    "profiles",
    "protect_memory",
    "run_conformance",
]

_Path = str | PathLike[str]
_Bytes = bytes | bytearray | str
_Entry = Literal["swiped", "keyed", "chip", "contactless"]
_Kind = Literal["tdes-base", "aes-base", "hmac", "wrap"]
_Purpose = Literal["payment", "recurring", "refund", "dispute", "fraud", "migration"]

_HealthState = Literal["serving", "recovering", "down", "stopped"]

@type_check_only
class _ShardHealth(TypedDict):
    state: _HealthState
    epoch: int
    faults: int
    failures_in_a_row: int
    last_fault: str | None
    last_fault_at: float | None

@type_check_only
class _Health(TypedDict):
    state: _HealthState
    queued: int
    busy: int
    overdue: int
    shards: list[_ShardHealth]

@type_check_only
class _ArrowArray(Protocol):
    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]: ...

@type_check_only
class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class ArrowTokens:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __len__(self) -> int: ...

@type_check_only
class _DataKeyCount(TypedDict):
    merchant: str
    data_key: int
    wrapped_by: str
    tokens: int
    nonces: int

@type_check_only
class _FingerprintKeyCount(TypedDict):
    key: str
    version: int
    tokens: int

@type_check_only
class _PolicyCount(TypedDict):
    merchant: str
    version: int
    tokens: int
    replaced_by: int | None
    ends: int | None

@type_check_only
class _VaultStats(TypedDict):
    keys: list[_DataKeyCount]
    fingerprint_keys: list[_FingerprintKeyCount]
    policies: list[_PolicyCount]
    requests: int
    audit_records: int

__version__: Final[str]

@final
class AuditLog:
    def __new__(
        cls,
        folder: _Path,
        /,
        *,
        actor: str,
        sync: Literal["each", "none"] | tuple[int, int] | None = None,
        file_size: int = 67108864,
        required: bool = True,
    ) -> Self: ...
    @staticmethod
    def verify(folder: _Path, /) -> Verified: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Verified:
    @property
    def records(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def last(self) -> str: ...

@final
class Store:
    @staticmethod
    def memory(
        key_files: Mapping[str, tuple[_Kind, _Path]] | None = None,
        *,
        audit: AuditLog | None = None,
    ) -> Store: ...
    @staticmethod
    def pkcs11(
        *,
        module: _Path | None = None,
        token: str | None = None,
        uri: str | None = None,
        pin_file: _Path | None = None,
        pin_env: str | None = None,
        init: str | None = None,
        allow_unsafe_keys: bool = False,
        still_decrypt: Sequence[str] | None = None,
        workers: int | None = None,
        shards: int | None = None,
        deadline: float | None = None,
        audit: AuditLog | None = None,
    ) -> Store: ...
    def self_test(self) -> None: ...
    @property
    def health(self) -> _Health | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Device:
    def __new__(
        cls,
        *,
        ksn_prefix: str | None = None,
        ksn: str | None = None,
        base_key: str,
        profile: str | Profile,
    ) -> Self: ...
    @property
    def ksn_prefix(self) -> str: ...
    @property
    def base_key(self) -> str: ...
    @property
    def profile(self) -> str: ...

@final
class Profile:
    def __new__(
        cls,
        name: str,
        *,
        format: str,
        encryption: str,
        mode: str | None = None,
        iv: str | None = None,
        scope: str | None = None,
        inner_tlv: bool | None = None,
        mask: str | None = None,
        mac: bool = False,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def encryption(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def iv(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def inner_tlv(self) -> bool | None: ...
    @property
    def mask(self) -> str: ...
    @property
    def mac(self) -> bool: ...
    def to_toml(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Payload:
    def __new__(cls, frame: _Bytes, /, *, format: str | None = None) -> Self: ...
    @staticmethod
    def from_tracks(*, ksn: _Bytes, tracks: Sequence[_Bytes]) -> Payload: ...
    @property
    def ksn(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def form(self) -> Literal["binary", "hex", "keyboard"] | None: ...
    @property
    def entry(self) -> _Entry | None: ...
    @property
    def serial(self) -> bytes | None: ...
    @property
    def extra(self) -> bytes | None: ...

@final
class Pan:
    @property
    def masked(self) -> str: ...
    @property
    def bin(self) -> str: ...
    @property
    def last_four(self) -> str: ...
    @property
    def luhn(self) -> bool: ...
    def reveal(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Secret:
    def reveal(self) -> str: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class SensitiveData:
    def track(self, number: Literal[1, 2, 3], /) -> Secret | None: ...
    @property
    def security_code(self) -> Secret | None: ...
    @property
    def jis2(self) -> Secret | None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class CardData:
    @property
    def pan(self) -> Pan: ...
    @property
    def expiry(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def service_code(self) -> str | None: ...
    @property
    def emv(self) -> bytes: ...
    @property
    def session_id(self) -> bytes | None: ...
    @property
    def entry(self) -> _Entry: ...
    @property
    def keys_in(self) -> Literal["token", "hybrid", "memory"]: ...
    @property
    def sensitive(self) -> SensitiveData: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Gateway:
    def __new__(
        cls, store: Store, /, *, devices: Sequence[Device], token_key: str | None = None
    ) -> Self: ...
    def decrypt(self, payload: Payload | _Bytes, /) -> CardData: ...
    def decrypt_batch(self, payloads: Sequence[Payload | _Bytes], /) -> list[CardData | Error]: ...
    def token(self, pan: Pan, /, *, merchant: str) -> str: ...
    @property
    def store(self) -> Store: ...
    def self_test(self) -> None: ...
    @property
    def health(self) -> _Health | None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class CardOnFile:
    @property
    def pan(self) -> Pan: ...
    @property
    def expiry(self) -> str | None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Policy:
    def __new__(
        cls,
        merchant: str,
        *,
        version: int = 1,
        form: Literal["vault", "card-shaped"] = "vault",
        keep_bin: Literal[6, 8] | None = None,
        keep_last_four: bool = False,
        single_use: bool = False,
        time_to_live: int | None = None,
        with_expiry: bool = False,
        purposes: Sequence[_Purpose] | None = None,
    ) -> Self: ...
    @property
    def merchant(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def form(self) -> Literal["vault", "card-shaped"]: ...
    @property
    def keep_bin(self) -> Literal[6, 8] | None: ...
    @property
    def keep_last_four(self) -> bool: ...
    @property
    def single_use(self) -> bool: ...
    @property
    def time_to_live(self) -> int | None: ...
    @property
    def with_expiry(self) -> bool: ...
    @property
    def purposes(self) -> tuple[_Purpose, ...]: ...
    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Vault:
    @staticmethod
    def init(
        store: Store,
        /,
        *addresses: _Path,
        fingerprint_key: str,
        wrapping_key: str,
        routing_key: str | None = None,
        workers: int = 1,
        rate_limit: int = 600,
    ) -> Vault: ...
    @staticmethod
    def open(
        store: Store,
        /,
        *addresses: _Path,
        workers: int = 1,
        rate_limit: int = 600,
    ) -> Vault: ...
    def tokenize(
        self,
        policy: Policy,
        pan: Pan | _Bytes,
        /,
        expiry: str | None = None,
        *,
        request: str | None = None,
    ) -> str: ...
    @overload
    def tokenize_batch(self, policy: Policy, cards: _ArrowArray | _ArrowStream, /) -> ArrowTokens: ...
    @overload
    def tokenize_batch(
        self, policy: Policy, cards: Sequence[Pan | _Bytes | tuple[Pan | _Bytes, str]], /
    ) -> list[str | VaultError]: ...
    def detokenize(
        self, policy: Policy, token: str, /, *, caller: str, purpose: _Purpose
    ) -> CardOnFile: ...
    def tokens_of(self, pan: Pan | _Bytes, /, *, merchant: str) -> list[str]: ...
    def delete(self, token: str, /, *, merchant: str) -> None: ...
    def stats(self) -> list[_VaultStats]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn: ...

@final
class Case:
    @property
    def file(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def custody(self) -> Literal["token", "hybrid", "memory", ""]: ...
    @property
    def outcome(self) -> Literal["passed", "failed", "skipped"]: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def microseconds(self) -> int: ...

@final
class Report:
    @property
    def tool(self) -> str: ...
    @property
    def time(self) -> str: ...
    @property
    def store(self) -> dict[str, str]: ...
    @property
    def vectors(self) -> dict[str, str]: ...
    @property
    def passed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def cases(self) -> list[Case]: ...
    def to_json(self) -> str: ...

def open(path: _Path, /, *, sealed: str | None = None) -> Gateway: ...
def protect_memory(*, require_lock: bool = True) -> bool: ...
def profiles(path: _Path | None = None, /) -> list[Profile]: ...
def run_conformance(store: Store, /, vectors: _Path | None = None) -> Report: ...
