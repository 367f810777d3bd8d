// A certified client that nobody here wrote, at the demo's provider.
//
//   node client.mjs ISSUER
//
// signs ana in by a code, renews, revokes and finds the renewal gone; then once more by a page that
// comes back, with PKCE, state and nonce.  openid-client checks what comes; one line of JSON says
// what it found.
import * as client from 'openid-client';

const issuer = new URL(process.argv[2]);
const http = { execute: [client.allowInsecureRequests] }; // it is on the loopback
const config = await client.discovery(issuer, 'hoop', undefined, client.None(), http);
const scope = 'openid email groups offline_access';
const post = (path, form) =>
  fetch(new URL(path, issuer), { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' });

// The device flow, with somebody who answers before the first poll.
const device = await client.initiateDeviceAuthorization(config, { scope });
await post('/device', { user_code: device.user_code, person: 'ana', answer: 'approve' });
const first = await client.pollDeviceAuthorizationGrant(config, device);

const renewed = await client.refreshTokenGrant(config, first.refresh_token);
const refused = async (token) => {
  try {
    await client.refreshTokenGrant(config, token);
    return '';
  } catch (problem) {
    return problem.error;
  }
};
const rotated = await refused(first.refresh_token);
await client.tokenRevocation(config, renewed.refresh_token, { token_type_hint: 'refresh_token' });
const revoked = await refused(renewed.refresh_token);

const denied = await client.initiateDeviceAuthorization(config, { scope });
await post('/device', { user_code: denied.user_code, person: 'ana', answer: 'deny' });
const no = await client.pollDeviceAuthorizationGrant(config, denied).catch((problem) => problem.error);

// The page that comes back.
const verifier = client.randomPKCECodeVerifier();
const asked = {
  redirect_uri: 'http://127.0.0.1:9/callback',
  scope,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  state: client.randomState(),
  nonce: client.randomNonce(),
};
const page = client.buildAuthorizationUrl(config, asked);
const form = Object.fromEntries(page.searchParams);
const back = await post('/authorize', { ...form, person: 'ana', answer: 'approve' });
const paged = await client.authorizationCodeGrant(config, new URL(back.headers.get('location')), {
  pkceCodeVerifier: verifier,
  expectedState: asked.state,
  expectedNonce: asked.nonce,
});

console.log(JSON.stringify({
  claims: first.claims(),
  renewed: renewed.claims().sub,
  rotated,
  revoked,
  no,
  paged: paged.claims().sub,
}));
