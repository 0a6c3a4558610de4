// The certified OpenID Connect provider of its author, on loopback. Its settings come on standard input, its address goes to
// standard output. Who signs in there says the browser's cookie `who`: nobody fills in a form of the provider's.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const { redirect_uri, client_id, client_secret, accounts } = JSON.parse(readFileSync(0, "utf8"));
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect_uri] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
});

async function signIn(request, response) {
  const { params, grantId } = await provider.interactionDetails(request, response);
  const accountId = /(?:^|; )who=([^;]+)/.exec(request.headers.cookie ?? "")?.[1];
  if (!accountId) {
    return provider.interactionFinished(request, response, { error: "access_denied" });
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
server.on("request", (request, response) => {
  const told = request.url.startsWith("/sign-in/") ? signIn(request, response) : answer(request, response);
  Promise.resolve(told).catch((error) => {
    console.error(error);
    response.writeHead(500).end(String(error));
  });
});
process.stdout.write(`${issuer}\n`);
