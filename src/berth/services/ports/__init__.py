"""The ports: what Berth needs of the world, each with two real implementations or an outside world behind it.

The database has no port: SQLAlchemy is the portability layer, `adapters/store`. Every method is async. Adapters raise
nothing but `Problem`s, translated at the boundary; what they return is a value of `domain`.
"""

from berth.services.ports.blob_store import BlobStore, StoredBlob, UploadState, UploadWriter
from berth.services.ports.clock import Clock, Entropy, Sealer
from berth.services.ports.dev_container import DevContainers, UpRequest, UpResult, Workspaces
from berth.services.ports.disk import Disk, DiskSpace
from berth.services.ports.ecr import EcrAPI
from berth.services.ports.engine import (
    Container,
    ContainerStatus,
    Engine,
    ExecOutput,
    ExecResult,
    ExecStream,
    ExportedFile,
    ImageBuild,
    ImageBuilt,
    LocalImage,
    PullProgress,
)
from berth.services.ports.git import GitBackend, GitRepositories, GitRequest, GitResponse
from berth.services.ports.identity import IdentityProvider
from berth.services.ports.password import PasswordHasher
from berth.services.ports.registry_client import FetchedFeature, ImageRefused, RegistryClient, ResolvedImage
from berth.services.ports.registry_token import RegistryTokenSigner
from berth.services.ports.service_engine import Belonging, ServiceEngine, ServiceState

__all__ = [
    "Belonging",
    "BlobStore",
    "Clock",
    "Container",
    "ContainerStatus",
    "DevContainers",
    "Disk",
    "DiskSpace",
    "EcrAPI",
    "Engine",
    "Entropy",
    "ExecOutput",
    "ExecResult",
    "ExecStream",
    "ExportedFile",
    "FetchedFeature",
    "GitBackend",
    "GitRepositories",
    "GitRequest",
    "GitResponse",
    "IdentityProvider",
    "ImageBuild",
    "ImageBuilt",
    "ImageRefused",
    "LocalImage",
    "PasswordHasher",
    "PullProgress",
    "RegistryClient",
    "RegistryTokenSigner",
    "ResolvedImage",
    "Sealer",
    "ServiceEngine",
    "ServiceState",
    "StoredBlob",
    "UpRequest",
    "UpResult",
    "UploadState",
    "UploadWriter",
    "Workspaces",
]
