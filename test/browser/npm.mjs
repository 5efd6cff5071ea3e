// Logging in with a certified provider that knows nothing of us: another site, another library, another certificate.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Totp, api, browser, must, step, world } from './lib.mjs';

const name = 'certified';
const provider = spawn(process.execPath, [
  '--no-warnings', '--preserve-symlinks', '--preserve-symlinks-main', 'provider.mjs', world.foreign.cert, world.foreign.key,
  `${world.api}/login/oidc/${name}/callback`, `${world.api}/login`,
], { stdio: ['pipe', 'pipe', 'inherit'] });
const [issuer] = await once(createInterface(provider.stdout), 'line');

async function atProvider(tab) {
  await tab.page.waitForURL(`${issuer}/**`);
  await tab.page.getByPlaceholder('Enter any login').fill('nora');
  await tab.page.getByPlaceholder('and password').fill('any');
  await tab.page.getByRole('button', { name: 'Sign-in' }).click();
  await tab.page.getByRole('button', { name: 'Continue' }).click();
}

const chooses = (tab) => tab.page.getByRole('list', { name: 'Other ways to log in' }).getByRole('link', { name: /Certified/ }).click();

try {
  const made = await api('POST', '/api/v1/providers', {
    name, title: 'Certified', issuer, client_id: 'bulkhead', client_secret: 'a secret: with / and %', algorithms: ['RS256'],
    just_in_time: true, logout: true, private_network: true, ca: world.foreign.ca,
  });
  must(made.post_logout_redirect_uri === `${world.api}/login`, `after a logout: ${made.post_logout_redirect_uri}`);
  await browser(async (tab) => {
    await tab.ready();
    await tab.go('/account');
    await chooses(tab);
    await atProvider(tab);
    await tab.heading('Set up your second factor');
    step('who is new becomes a user, and sets up a second factor');

    await tab.press('Show the QR code');
    const totp = new Totp((await tab.scan()).searchParams.get('secret'));
    await tab.fill('Six-digit code', await totp.next());
    await tab.press('Confirm');
    await tab.heading('Store your recovery codes');
    await tab.follow('I have stored them, continue');
    await tab.at('/account', 'Account');
    await tab.says('nora of npm');
    step('with its first code they come to where they wanted to go');

    await tab.press('Log out');
    await tab.page.waitForURL(`${issuer}/**`);
    await tab.page.getByRole('button', { name: /Yes, sign me out/ }).click();
    await tab.at('/login', 'Log in');
    await tab.go('/account');
    await tab.at('/login?to=%2Faccount', 'Log in');
    step('a logout here goes on at the provider, and comes back');

    await chooses(tab);
    await atProvider(tab);
    await tab.heading('Second factor');
    await tab.fill('Six-digit code', await totp.next());
    await tab.press('Continue');
    await tab.at('/account', 'Account');
    step('they come back as the same user, with password and code');

    await tab.page.context().clearCookies();
    await tab.go('/login?to=%2Faccount');
    const stale = new URL(`${world.api}/login/oidc/${name}/callback?code=stolen&state=stolen&iss=${encodeURIComponent(issuer)}`);
    await tab.refused(401, async () => {
      await tab.go(stale.pathname + stale.search);
      await tab.says('This login could not be completed');
    });
    step('a code that was stolen opens nothing in another browser');
  }, { guest: issuer });
} finally {
  provider.stdin.end();
}
