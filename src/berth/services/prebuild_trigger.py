"""What a push does to prebuilds: those of a branch that moved are made anew."""

from berth.adapters.store import prebuild as rows
from berth.adapters.store.database import Store
from berth.domain.prebuild import PrebuildState
from berth.services.ports import GitRepositories


async def request_for_push(store: Store, git: GitRepositories, repository_id: int) -> None:
    """Asks for the prebuilds whose branch is not at the commit that was worked on last. A run of an older commit ends."""
    async with store.read() as connection:
        found = await rows.list_pushed(connection, repository_id)
    for prebuild in found:
        head = await git.find_commit(repository_id, f"refs/heads/{prebuild.wish.branch}")
        if head is not None and head != prebuild.commit_id:
            async with store.begin() as connection:
                await rows.request(connection, prebuild.id, {"state": PrebuildState.QUEUED})
