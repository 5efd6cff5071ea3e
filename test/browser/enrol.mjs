// Setting up a second factor: the first thing that a new user does.
import { Totp, browser, enrolled, must, person, step } from './lib.mjs';

await browser(async (tab) => {
  await tab.ready();
  const who = await person();
  await tab.go('/account');
  await tab.at('/login?to=%2Faccount', 'Log in');
  await tab.look('login');
  step('who is not logged in is asked to, and the page is right for everybody');

  await tab.fill('Name or e-mail address', who.name);
  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.at('/login/enrolment?to=%2Faccount', 'Set up your second factor');
  await tab.look('enrol');
  await tab.go('/account/keys');
  await tab.at('/login/enrolment?to=%2Faccount%2Fkeys', 'Set up your second factor');
  step('a password alone reaches nothing but setting up the second factor');

  await tab.go('/login/enrolment?to=%2Faccount');
  await tab.press('Show the QR code');
  const uri = await tab.scan();
  const text = (await tab.page.getByLabel(/^No camera/).innerText()).replaceAll(' ', '');
  must(uri.protocol === 'otpauth:' && uri.host === 'totp', `not for an authenticator: ${uri.protocol}//${uri.host}`);
  must(uri.searchParams.get('secret') === text, 'the QR code and the text have different secrets');
  must(decodeURIComponent(uri.pathname).includes(who.name), 'the app would not show whose it is');
  await tab.look('scan');
  step('the QR code and the text under it say the same');

  const first = new Totp(text);
  await tab.refused(401, async () => {
    await tab.fill('Six-digit code', first.wrong());
    await tab.press('Confirm');
    await tab.says('The code is wrong');
  });
  await tab.refused(401, () => tab.look('scan-wrong'));
  step('a wrong first code is refused and says why');

  await tab.press('Start over with a new QR code');
  who.totp = new Totp((await tab.scan()).searchParams.get('secret'));
  must(who.totp.key.compare(first.key) !== 0, 'the new QR code has the old secret');
  const before = (await tab.cookie()).value;
  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Confirm');
  await tab.heading('Store your recovery codes');
  const codes = await tab.page.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem').allInnerTexts();
  must(codes.length === 10 && new Set(codes).size === 10, `recovery codes: ${codes.length}`);
  must((await tab.cookie()).value !== before, 'the session kept its id');
  await tab.look('codes');
  step('the right code sets it up, with ten recovery codes and a session of another id');

  await tab.follow('I have stored them, continue');
  await tab.at('/account', 'Account');
  await tab.look('account');
  step('and goes on with what was asked at first');

  await tab.go('/login/enrolment');
  await tab.press('Show the QR code');
  const other = new Totp((await tab.scan()).searchParams.get('secret'));
  await tab.fill('Six-digit code', await other.next());
  await tab.press('Confirm');
  await tab.heading('Store your recovery codes');
  await tab.follow('I have stored them, continue');
  await tab.heading('Overview');
  step('a new phone takes the place of the one before');
});

await browser(async (tab) => {
  const who = await enrolled(tab);
  await tab.look('overview');
  must(who.recovery.length === 10, 'no recovery codes');
  step('the overview is right for everybody');
});
