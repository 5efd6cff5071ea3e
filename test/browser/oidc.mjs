// Logging in with the provider that dev brings along.
import { Totp, browser, must, step, world } from './lib.mjs';

const owner = world.users.find((u) => u.name === 'owner');
owner.totp = new Totp(owner.secret, Date.now()); // dev has used it to enrol them

async function atProvider(tab) {
  await tab.page.waitForURL(`${world.api}/dev-idp/**`);
  await tab.fill('Name', owner.name);
  await tab.fill('Password', owner.password);
  await tab.press('Log in');
}

await browser(async (tab) => {
  await tab.go('/account');
  await tab.heading('Log in');
  await tab.look('login-choice');
  await tab.page.getByRole('list', { name: 'Other ways to log in' }).getByRole('link', { name: /Sample users/ }).click();
  await atProvider(tab);
  await tab.at('/login/second-factor?to=%2Faccount', 'Second factor');
  step('who logs in at a provider is asked for the second factor here');

  const transaction = (await tab.page.context().cookies(world.api)).find((c) => c.name === '__Host-bulkhead-oidc');
  must(!transaction, 'the transaction outlives its use');
  await tab.go('/account/keys');
  await tab.at('/login/second-factor?to=%2Faccount%2Fkeys', 'Second factor');
  step('the provider alone opens nothing');

  await tab.go('/login/second-factor?to=%2Faccount');
  await tab.fill('Six-digit code', await owner.totp.next());
  await tab.press('Continue');
  await tab.at('/account', 'Account');
  await tab.go('/');
  await tab.heading('Overview');
  await tab.says('plant-a');
  await tab.says('plant-b');
  await tab.look('overview-owner');
  step('with the code the owner sees the sample projects');

  await tab.press('Log out');
  await tab.page.waitForURL((u) => u.pathname === '/login' || u.pathname.startsWith('/dev-idp'));
  await tab.go('/account');
  await tab.at('/login?to=%2Faccount', 'Log in');
  step('logging out ends the login here and leads to the provider');

  await tab.page.getByRole('list', { name: 'Other ways to log in' }).getByRole('link', { name: /Sample users/ }).click();
  await tab.page.waitForURL(`${world.api}/dev-idp/**`);
  await tab.page.getByLabel('Password').waitFor();
  step('the provider asks for the password again');
});

await browser(async (tab) => {
  await tab.refused(401, async () => {
    await tab.go(`/login/oidc/${world.provider}/callback?code=forged&state=forged`);
    await tab.says('This login could not be completed');
    await tab.look('oidc-wrong');
  });
  step('an answer of the provider that nobody asked for is refused');
});
