// An OpenID Connect provider on loopback, for openid_client.py: the certified npm package oidc-provider,
// whose only user, alice, is logged in and agrees without being asked.
//     node openid_provider.mjs        NODE_PATH_DIR: the folder of node_modules
// The first line that it prints is its issuer. Clients: "kinto" gets opaque access tokens and identity
// tokens signed with RS256; "kinto-api" gets access tokens that are JSON Web Tokens signed with ES256, for
// the audience https://api.example. POST /test/sign signs any claims with the provider's keys;
// GET /test/counts tells how often its endpoints were asked.
import { createRequire } from 'node:module';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.env.NODE_PATH_DIR || '.';
const require = createRequire(pathToFileURL(path.join(path.resolve(folder), 'x.js')));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { default: Provider } = await load('oidc-provider');
const jose = await load('jose');

const AUDIENCE = 'https://api.example';
const keys = {};
const jwks = { keys: [] };
for (const alg of ['RS256', 'ES256']) {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  keys[alg] = pair.privateKey;
  jwks.keys.push({ ...(await jose.exportJWK(pair.privateKey)), kid: `key-${alg}`, alg, use: 'sig' });
}

const client = (id, more) => ({
  client_id: id,
  client_secret: 's3cret',
  redirect_uris: ['http://127.0.0.1/any'],
  token_endpoint_auth_method: 'client_secret_post',
  ...more,
});
const configuration = {
  clients: [client('kinto', {}), client('kinto-api', { id_token_signed_response_alg: 'ES256' })],
  jwks,
  pkce: { required: () => false },
  cookies: { keys: ['a', 'b'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: true, name: 'Alice' }),
  }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: (ctx, c) => (c.clientId === 'kinto-api' ? AUDIENCE : undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'openid email profile',
        audience: AUDIENCE,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 3600,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
};

const server = http.createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, configuration);
// The server's port is not known before it has started, and it has to know the provider first.
provider.Client.prototype.redirectUriAllowed = (uri) => /\/v1\/openid\/[a-z]+\/token$/.test(uri);

const counts = {};
async function body(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}
provider.use(async (ctx, next) => {
  counts[ctx.path] = (counts[ctx.path] || 0) + 1;
  if (ctx.path === '/test/counts') {
    ctx.body = counts;
  } else if (ctx.path === '/test/sign') {
    const { alg, claims, kid } = await body(ctx.req);
    ctx.body = await new jose.SignJWT(claims)
      .setProtectedHeader({ alg, kid: kid || `key-${alg}` }).sign(keys[alg]);
  } else if (ctx.path.startsWith('/interaction/')) {
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const grant = new provider.Grant({ accountId: 'alice', clientId: params.client_id });
    grant.addOIDCScope('openid email profile');
    grant.addResourceScope(AUDIENCE, 'openid email profile');
    const result = { login: { accountId: 'alice' }, consent: { grantId: await grant.save() } };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    ctx.respond = false;
  } else {
    await next();
  }
});
server.on('request', provider.callback());
console.log(issuer);
