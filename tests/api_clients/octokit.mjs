// octokit, unmodified, with every generated method of codespaces and packages that the server serves.
// Standard input: what to connect to, and what is there (api_world.py, test_octokit.py). Ends with 0 if everything held.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { Octokit } from "@octokit/rest";

const facts = JSON.parse(readFileSync(0, "utf8"));
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const octokit = new Octokit({ baseUrl: facts.url, auth: facts.token, log: quiet });
const called = new Set();

// The methods of one namespace; calls are noted.
const noting = (namespace) =>
  new Proxy(octokit.rest[namespace], {
    get(methods, name) {
      called.add(`${namespace}.${String(name)}`);
      return methods[name];
    },
  });
const codespaces = noting("codespaces");
const packages = noting("packages");

const { org, username, owner, repo } = facts;
const names = (secrets) => secrets.map((secret) => secret.name);

async function refused(promise, status, text) {
  const error = await promise.then(() => assert.fail(`expected ${status}`), (reason) => reason);
  assert.equal(error.status, status, `${error.message}`);
  if (text) assert.match(error.message, text);
  return error;
}

async function usersSecret() {
  const secret_name = facts.secret;
  const [first, second] = facts.repositories;
  assert.equal((await codespaces.getPublicKeyForAuthenticatedUser()).data.key_id, facts.sealed.user.key_id);
  const made = await codespaces.createOrUpdateSecretForAuthenticatedUser({ secret_name, ...facts.sealed.user, selected_repository_ids: [first] });
  assert.deepEqual([made.status, made.data], [201, {}]);
  assert.equal((await codespaces.createOrUpdateSecretForAuthenticatedUser({ secret_name, ...facts.sealed.user })).status, 204);
  assert.equal((await codespaces.getSecretForAuthenticatedUser({ secret_name })).data.visibility, "selected");
  assert.ok(names(await octokit.paginate(codespaces.listSecretsForAuthenticatedUser, { per_page: 1 })).includes(secret_name));
  const chosen = async () =>
    (await octokit.paginate(codespaces.listRepositoriesForSecretForAuthenticatedUser, { secret_name, per_page: 1 })).map((each) => each.id).sort();
  await codespaces.addRepositoryForSecretForAuthenticatedUser({ secret_name, repository_id: second });
  assert.deepEqual(await chosen(), [first, second].sort());
  await codespaces.removeRepositoryForSecretForAuthenticatedUser({ secret_name, repository_id: first });
  assert.deepEqual(await chosen(), [second]);
  await codespaces.setRepositoriesForSecretForAuthenticatedUser({ secret_name, selected_repository_ids: [first] });
  assert.deepEqual(await chosen(), [first]);
  assert.equal((await codespaces.deleteSecretForAuthenticatedUser({ secret_name })).status, 204);
  await refused(codespaces.getSecretForAuthenticatedUser({ secret_name }), 404);
}

async function organizationsSecret() {
  const place = { org, secret_name: facts.secret };
  const [, second] = facts.organization_repositories;
  assert.equal((await codespaces.getOrgPublicKey({ org })).data.key.length, 44);
  assert.equal((await codespaces.createOrUpdateOrgSecret({ ...place, ...facts.sealed.org, visibility: "private" })).status, 201);
  await refused(codespaces.setSelectedReposForOrgSecret({ ...place, selected_repository_ids: [second] }), 409);
  const selected = { visibility: "selected", selected_repository_ids: [] };
  assert.equal((await codespaces.createOrUpdateOrgSecret({ ...place, ...facts.sealed.org, ...selected })).status, 204);
  const chosen = async () => (await codespaces.listSelectedReposForOrgSecret(place)).data.repositories.map((each) => each.id);
  await codespaces.addSelectedRepoToOrgSecret({ ...place, repository_id: second });
  assert.deepEqual(await chosen(), [second]);
  await codespaces.removeSelectedRepoFromOrgSecret({ ...place, repository_id: second });
  assert.deepEqual(await chosen(), []);
  await codespaces.setSelectedReposForOrgSecret({ ...place, selected_repository_ids: [second] });
  assert.deepEqual(await chosen(), [second]);
  assert.equal((await codespaces.getOrgSecret(place)).data.visibility, "selected");
  assert.ok(names((await codespaces.listOrgSecrets({ org, per_page: 100 })).data.secrets).includes(facts.secret));
  const bad = await refused(codespaces.createOrUpdateOrgSecret({ org, secret_name: "GITHUB_X", ...facts.sealed.org, visibility: "all" }), 422, /must not start with GITHUB_/);
  assert.match(bad.message, /\/docs\/errors#secret\.name\.reserved/);
  assert.equal((await codespaces.deleteOrgSecret(place)).status, 204);
}

async function repositorysSecret() {
  const place = { owner, repo, secret_name: facts.secret };
  assert.equal((await codespaces.getRepoPublicKey({ owner, repo })).data.key_id, facts.sealed.repo.key_id);
  assert.equal((await codespaces.createOrUpdateRepoSecret({ ...place, ...facts.sealed.repo })).status, 201);
  assert.equal((await codespaces.getRepoSecret(place)).data.name, facts.secret);
  assert.ok(names((await codespaces.listRepoSecrets({ owner, repo })).data.secrets).includes(facts.secret));
  assert.equal((await codespaces.deleteRepoSecret(place)).status, 204);
}

async function until(codespace_name, state) {
  for (let tries = 0; tries < 300; tries += 1) {
    const { data } = await codespaces.getForAuthenticatedUser({ codespace_name });
    if (data.state === state) return data;
    assert.notEqual(data.state, "Failed", JSON.stringify(data.finding));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return assert.fail(`${codespace_name} is not ${state}`);
}

// The image has no git, so it ends with that; tests/main_job/test_export.py has one that has.
async function anExport(codespace_name) {
  const { data: begun, status } = await codespaces.exportForAuthenticatedUser({ codespace_name });
  assert.deepEqual([status, begun.branch, begun.sha], [202, `codespace-${codespace_name}`, null]);
  for (let tries = 0; tries < 300; tries += 1) {
    const { data } = await codespaces.getExportDetailsForAuthenticatedUser({ codespace_name, export_id: "latest" });
    assert.equal(data.id, begun.id);
    if (data.state !== "in_progress") {
      assert.deepEqual([data.state, data.finding.code], ["failed", "export.no_git"]);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("the export does not end");
}

async function lifeOfACodespace() {
  const { data: first } = await codespaces.createForAuthenticatedUser({ repository_id: facts.repository_id });
  const { data: second, status } = await codespaces.createWithRepoForAuthenticatedUser({ owner, repo, display_name: "by octokit" });
  assert.deepEqual([status, second.display_name], [201, "by octokit"]);
  const all = await octokit.paginate(codespaces.listForAuthenticatedUser, { per_page: 1 });
  assert.ok([first.name, second.name].every((name) => all.some((each) => each.name === name)));
  const { data: there } = await codespaces.listInRepositoryForAuthenticatedUser({ owner, repo });
  assert.ok(there.total_count >= 2);
  const codespace_name = first.name;
  await until(codespace_name, "Available");
  await anExport(codespace_name);
  await until(codespace_name, "Available");
  await codespaces.stopForAuthenticatedUser({ codespace_name });
  await refused(codespaces.exportForAuthenticatedUser({ codespace_name }), 422, /Start it/);
  await until(codespace_name, "Shutdown");
  await codespaces.startForAuthenticatedUser({ codespace_name });
  await until(codespace_name, "Available");
  for (const each of [first, second]) {
    const gone = await codespaces.deleteForAuthenticatedUser({ codespace_name: each.name });
    assert.deepEqual([gone.status, gone.data], [202, {}]);
  }
}

async function beforeAndAfterACreation() {
  const place = { owner, repo };
  const { data: machines } = await codespaces.repoMachinesForAuthenticatedUser(place);
  assert.equal(machines.total_count, machines.machines.length);
  const { data: found } = await codespaces.listDevcontainersInRepositoryForAuthenticatedUser(place);
  assert.deepEqual(found.devcontainers.map((each) => each.path), [".devcontainer/devcontainer.json"]);
  assert.equal((await codespaces.preFlightWithRepoForAuthenticatedUser(place)).data.billable_owner.login, org);
  const asked = { ...place, ref: "main", devcontainer_path: found.devcontainers[0].path };
  assert.deepEqual((await codespaces.checkPermissionsForDevcontainer(asked)).data, { accepted: true });
  const { data: made } = await codespaces.createWithRepoForAuthenticatedUser(place);
  const codespace_name = made.name;
  const { data: mine } = await codespaces.codespaceMachinesForAuthenticatedUser({ codespace_name });
  // What is prebuilt is said of a repository; a codespace that there is has its image.
  const names = ({ machines: found }) => found.map((machine) => machine.name);
  assert.deepEqual(names(mine), names(machines));
  const { data: changed } = await codespaces.updateForAuthenticatedUser({ codespace_name, display_name: "renamed", recent_folders: ["/x"] });
  assert.deepEqual([changed.display_name, changed.recent_folders], ["renamed", ["/x"]]);
  const named = (list) => list.some((each) => each.name === codespace_name);
  assert.ok(named(await octokit.paginate(codespaces.listInOrganization, { org, per_page: 1 })));
  assert.ok(named(await octokit.paginate(codespaces.getCodespacesForUserInOrg, { org, username, per_page: 1 })));
  await until(codespace_name, "Available");
  await codespaces.stopInOrganization({ org, username, codespace_name });
  await until(codespace_name, "Shutdown");
  assert.equal((await codespaces.deleteFromOrganization({ org, username, codespace_name })).status, 202);
}

// A fork's pull request, and a codespace that shows it.
async function aPullRequest() {
  const name = `open-${facts.secret.toLowerCase()}`;
  const { repos, pulls } = octokit.rest;
  const write = (place, path) => repos.createOrUpdateFileContents({ ...place, path, message: "m", content: "YQ==" });
  const { data: made } = await repos.createForAuthenticatedUser({ name });
  const place = { owner: made.owner.login, repo: name };
  await write(place, "a");
  const { data: fork } = await repos.createFork({ ...place, organization: org });
  assert.deepEqual([fork.full_name, fork.fork], [`${org}/${name}`, true]);
  await write({ owner: org, repo: name }, "b");
  const { data: pull } = await pulls.create({ ...place, title: "b", head: `${org}:main`, base: "main" });
  assert.deepEqual([pull.commits, pull.changed_files, pull.head.repo.id], [1, 1, fork.id]);
  assert.equal((await octokit.paginate(pulls.list, place)).length, 1);
  const { data: shown } = await codespaces.createWithPrForAuthenticatedUser({ ...place, pull_number: pull.number });
  assert.deepEqual([shown.git_status.ref, shown.pulls_url], [`refs/pull/${pull.number}/head`, pull.url]);
  await codespaces.deleteForAuthenticatedUser({ codespace_name: shown.name });
  assert.equal((await pulls.update({ ...place, pull_number: pull.number, state: "closed" })).data.state, "closed");
}

// The same of a package's three places; `named` are octokit's names of the operations there.
async function lifeOfAPackage(place, package_name, named) {
  const one = { ...place, package_type: "container", package_name };
  const list = await octokit.paginate(packages[named.list], { ...place, package_type: "container", per_page: 1 });
  assert.ok(list.some((each) => each.name === package_name));
  assert.deepEqual((await packages[named.conflicts](place)).data, []);
  assert.equal((await packages[named.get](one)).data.version_count, 2);
  const versions = await octokit.paginate(packages[named.versions[0]], { ...one, per_page: 1 });
  for (const other of named.versions.slice(1)) assert.equal((await packages[other](one)).data.length, 2);
  const of = (tagged) => ({ ...one, package_version_id: versions.find((each) => (each.metadata.container.tags.length > 0) === tagged).id });
  assert.match((await packages[named.version](of(true))).data.name, /^sha256:/);
  await refused(packages[named.deleteVersion](of(true)), 400, /last tagged version/);
  assert.equal((await packages[named.deleteVersion](of(false))).status, 204);
  await refused(packages[named.version](of(false)), 404);
  assert.equal((await packages[named.restoreVersion](of(false))).status, 204);
  assert.equal((await packages[named.delete](one)).status, 204);
  await refused(packages[named.get](one), 404);
  assert.equal((await packages[named.restore](one)).status, 204);
  assert.equal((await packages[named.get](one)).data.version_count, 2);
}

const ofPlace = (owned, short, long) => ({
  list: `listPackagesFor${long}`,
  conflicts: `listDockerMigrationConflictingPackagesFor${long}`,
  get: `getPackageFor${long}`,
  version: `getPackageVersionFor${long}`,
  versions: owned.map((each) => `getAllPackageVersionsFor${each}`),
  delete: `deletePackageFor${short}`,
  restore: `restorePackageFor${short}`,
  deleteVersion: `deletePackageVersionFor${short}`,
  restoreVersion: `restorePackageVersionFor${short}`,
});

async function packagesOfAll() {
  const mine = ["PackageOwnedByAuthenticatedUser", "APackageOwnedByTheAuthenticatedUser"];
  await lifeOfAPackage({ org }, facts.package, ofPlace(["PackageOwnedByOrg", "APackageOwnedByAnOrg"], "Org", "Organization"));
  await lifeOfAPackage({ username }, facts.own_package, ofPlace(["PackageOwnedByUser"], "User", "User"));
  await lifeOfAPackage({}, facts.own_package, ofPlace(mine, "AuthenticatedUser", "AuthenticatedUser"));
}

async function theProtocol() {
  const { data, headers } = await octokit.rest.users.getAuthenticated();
  assert.equal(data.login, username);
  await refused(octokit.request("GET /user", { headers: { "if-none-match": headers.etag } }), 304);
  await refused(new Octokit({ baseUrl: facts.url, auth: "ghp_nothing", log: quiet }).rest.meta.root(), 401, /^Bad credentials/);
  await refused(octokit.request("GET /user", { headers: { "x-github-api-version": "2020-01-01" } }), 400);
  assert.deepEqual(await octokit.graphql("{viewer{login}}"), { viewer: { login: username } });
  const repositories = await octokit.paginate(octokit.rest.repos.listForAuthenticatedUser, { per_page: 1 });
  assert.ok(repositories.length >= 3);
  let pages = 0;
  for await (const page of octokit.paginate.iterator(octokit.rest.repos.listForAuthenticatedUser, { per_page: 2 })) pages += page.data.length > 0;
  assert.equal(pages, Math.ceil(repositories.length / 2));
}

// fetch follows 301 and 307, and sends the body again.
async function aFormerName() {
  const { data: made } = await octokit.rest.repos.createForAuthenticatedUser({ name: `old-${facts.secret}`, private: true });
  const old = { owner: username, repo: made.name };
  await octokit.rest.repos.update({ ...old, name: `new-${facts.secret}` });
  assert.equal((await octokit.rest.repos.get(old)).data.id, made.id);
  assert.equal((await octokit.rest.repos.update({ ...old, description: "d" })).data.description, "d");
  assert.equal((await codespaces.listRepoSecrets(old)).data.total_count, 0);
  await octokit.rest.repos.delete({ owner: username, repo: `new-${facts.secret}` });
  await refused(octokit.rest.repos.get(old), 404);
}

await theProtocol();
await aFormerName();
if (facts.everything) {
  await usersSecret();
  await organizationsSecret();
  await repositorysSecret();
  await packagesOfAll();
  await lifeOfACodespace();
  await beforeAndAfterACreation();
  await aPullRequest();
  const generated = ["codespaces", "packages"].flatMap((space) => Object.keys(octokit.rest[space]).map((name) => `${space}.${name}`));
  console.log(JSON.stringify(generated.filter((name) => !called.has(name)).sort()));
}
