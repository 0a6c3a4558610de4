"""In which order Features are installed. Pure.

1. A Feature comes after everything that it depends on (`dependsOn`), and after those in `installsAfter` that are
   installed anyway, also under a former name of theirs.
2. It goes in rounds: of those that could be next, the ones with the highest priority are. `overrideFeatureInstallOrder`
   of n names gives its first one n, the next n - 1, and so on; everything else has 0.
3. Within a round: by name, then from the oldest tag to the newest with `latest` last, then by options, the greatest number
   of them first, then by digest.
4. Two that are equal in content and options are one. A circle is refused.

Source: devcontainers/spec, "Feature Dependencies", B1 to B3, "Feature Equality", "Round Stable Sort". Decided: the latter's
"greatest number of user-defined options" first, where version 0.89.0 of the CLI has the smallest.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from berth.domain.feature import FeatureRequest, Folder, Place
from berth.domain.feature_metadata import FeatureMetadata
from berth.domain.problem import Invalid

_LATEST = "latest"
_NUMBER = re.compile(r"[0-9]{1,9}")

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A Feature that is installed: asked for, fetched, reviewed. `identity` is its manifest's digest, or its folder."""

    request: FeatureRequest
    identity: str
    metadata: FeatureMetadata
    files: Mapping[str, bytes]

    @property
    def key(self) -> Key:
        """What makes two of them one."""
        return self.identity, self.request.options

    @property
    def resources(self) -> frozenset[str]:
        """Every name that it has or had."""
        namespace = self.request.resource.rpartition("/")[0]
        return frozenset({self.request.resource, *(f"{namespace}/{name}" for name in self.metadata.former_ids)})


def order_features(
    features: Sequence[Feature], identities: Mapping[Place, str], first: Sequence[str]
) -> tuple[Feature, ...]:
    """The order. `identities` says what each place that one depends on came to. Raises Invalid(code="feature.order")."""
    left = {feature.key: feature for feature in features}
    needs = {feature.key: _needs(feature, left.values(), identities) for feature in features}
    priorities = {key: _priority(feature, first) for key, feature in left.items()}
    done: dict[Key, Feature] = {}
    while left:
        ready = [key for key in left if needs[key] <= done.keys()]
        if not ready:
            raise _circle(left.values())
        highest = max(priorities[key] for key in ready)
        chosen = [left.pop(key) for key in ready if priorities[key] == highest]
        done |= {feature.key: feature for feature in sorted(chosen, key=_place_in_round)}
    return tuple(done.values())


def _needs(feature: Feature, others: Collection[Feature], identities: Mapping[Place, str]) -> frozenset[Key]:
    hard = {(identities[needed.place], needed.options) for needed in feature.metadata.depends_on}
    after = set(feature.metadata.installs_after)
    soft = {
        other.key
        for other in others
        if other.request.resource != feature.request.resource and not after.isdisjoint(other.resources)
    }
    return frozenset(hard | soft)


def _priority(feature: Feature, first: Sequence[str]) -> int:
    return max((len(first) - index for index, name in enumerate(first) if name in feature.resources), default=0)


def _place_in_round(feature: Feature) -> tuple[object, ...]:
    request = feature.request
    names, values = zip(*request.options, strict=True) if request.options else ((), ())
    return request.resource, _age(request.place), -len(names), names, values, feature.identity


def _age(place: Place) -> tuple[int, tuple[int, ...], str]:
    """Sorts tags: what is no version, versions, `latest`."""
    tag = "" if isinstance(place, Folder) else place.tag or ""
    if tag == _LATEST:
        return 2, (), ""
    parts = tag.split(".")
    if all(_NUMBER.fullmatch(part) for part in parts):
        return 1, tuple(map(int, parts)), ""
    return 0, (), tag


def _circle(features: Collection[Feature]) -> Invalid:
    names = ", ".join(sorted(feature.request.name for feature in features)[:10])
    return Invalid(
        f"These Features wait for each other in a circle: {names}.",
        field="devcontainer_path",
        code="feature.order",
        remedy="Leave one of them out, or name versions of them that do not need each other.",
    )
