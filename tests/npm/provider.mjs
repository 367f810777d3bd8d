// A certified identity provider that nobody here wrote, for tests/e2e/test_oidc_provider.py.
//
//   node provider.mjs PORT
//
// prints its issuer when it listens.  Anybody signs in as whoever they say they are; ana is in
// the group engineering, ben in dba.  The algorithm of ID tokens is HOOP_TEST_ALG (RS256).
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const alg = process.env.HOOP_TEST_ALG ?? 'RS256';
const groups = { ana: ['engineering'], ben: ['engineering', 'dba'] };

const made = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
}[alg]();
const key = { ...made.privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: 'one' };

const bare = (ctx, title, body) => {
  ctx.type = 'html';
  ctx.body = `<!doctype html><title>${title}</title>${body}`;
};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'hoop',
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    grant_types: [
      'urn:ietf:params:oauth:grant-type:device_code', 'authorization_code', 'refresh_token',
    ],
    redirect_uris: ['http://127.0.0.1/callback'], // any port of it, for a native client
    response_types: ['code'],
    id_token_signed_response_alg: alg,
  }, {
    client_id: 'ci',
    client_secret: 'only for tests: a+b/c',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: alg,
  }],
  jwks: { keys: [key] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  cookies: { keys: ['only for tests'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  conformIdTokenClaims: false,
  scopes: ['openid', 'offline_access', 'email', 'groups'],
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, email: `${id}@shop.example`, email_verified: true, groups: groups[id] ?? [],
    }),
  }),
  features: {
    revocation: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: '', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg } },
      }),
    },
    devInteractions: { enabled: true },
    deviceFlow: {
      enabled: true,
      // The library's own pages load fonts from elsewhere.
      userCodeInputSource: (ctx, form) => bare(ctx, 'code', `${form}<button form="op.deviceInputForm">go</button>`),
      userCodeConfirmSource: (ctx, form) => bare(ctx, 'confirm', form),
      successSource: (ctx) => bare(ctx, 'done', 'signed in'),
    },
  },
});

provider.listen(port, '127.0.0.1', () => console.log(issuer));
