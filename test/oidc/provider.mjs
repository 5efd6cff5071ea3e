// A certified OpenID Connect provider on loopback. Usage: provider.mjs CERT KEY REDIRECT_URI LOGOUT_URI
// It prints its issuer, and ends with its standard input.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';

const [cert, key, redirectUri, logoutUri] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'bulkhead', client_secret: 'a secret: with / and %', redirect_uris: [redirectUri], post_logout_redirect_uris: [logoutUri],
      response_types: ['code'], grant_types: ['authorization_code'], id_token_signed_response_alg: 'RS256',
    }],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], acr: null, amr: null, auth_time: null },
    acrValues: ['urn:strong'],
    pkce: { required: () => true },
    cookies: { keys: ['of this run'] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `${id} of npm`, email: `${id}@plant.example`, email_verified: true }),
    }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
