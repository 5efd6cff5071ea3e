// Logging in and out with a password, a code and a recovery code.
import { browser, enrolled, must, step, world } from './lib.mjs';

await browser(async (tab) => {
  await tab.ready();
  const who = await enrolled(tab);
  await tab.go('/logout');
  await tab.heading('Log out?');
  await tab.look('logout');
  await tab.press('Log out');
  await tab.heading('You are logged out');
  await tab.look('logged-out');
  must(!(await tab.cookie()), 'the cookie is still there');
  await tab.go('/account');
  await tab.at('/login?to=%2Faccount', 'Log in');
  step('logging out ends the session');

  await tab.refused(401, async () => {
    await tab.fill('Name or e-mail address', who.name);
    await tab.fill('Password', 'not the password');
    await tab.press('Log in');
    await tab.says('Name or password is wrong.');
    must(await tab.page.getByLabel('Name or e-mail address').inputValue() === who.name, 'the name has to be typed again');
    must(await tab.page.getByLabel('Password').inputValue() === '', 'the password is in the page');
    await tab.look('login-wrong');
  });
  step('a wrong password is refused in words that tell nothing more');

  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.at('/login/second-factor?to=%2Faccount', 'Second factor');
  await tab.look('factor');
  const cookie = await tab.cookie();
  must(cookie.secure && cookie.httpOnly && cookie.sameSite === 'Lax' && cookie.path === '/' && cookie.expires === -1, JSON.stringify(cookie));
  step('the cookie is Secure, HttpOnly, SameSite=Lax and ends with the browser');

  await tab.refused(401, async () => {
    await tab.fill('Six-digit code', who.totp.wrong());
    await tab.press('Continue');
    await tab.says('The code is wrong');
    await tab.look('factor-wrong');
    await tab.fill('Six-digit code', who.totp.code(who.totp.last));
    await tab.press('Continue');
    await tab.says('was used before');
  });
  step('a wrong code is refused, and one that was used before');

  await tab.fill('Six-digit code', await who.totp.next());
  await tab.press('Continue');
  await tab.at('/account', 'Account');
  must((await tab.cookie()).value !== cookie.value, 'the session kept its id');
  step('the next code logs in and goes on with what was asked, under another id');

  const old = await fetch(`${world.api}/account`, { headers: { Cookie: `__Host-bulkhead=${cookie.value}` }, redirect: 'manual' });
  must(old.status === 303 && old.headers.get('location').startsWith('/login'), `the id before opens: ${old.status}`);
  step('the id before opens nothing');

  await tab.press('Log out');
  await tab.heading('You are logged out');
  await tab.go('/login');
  await tab.fill('Name or e-mail address', who.name);
  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.follow('Use a recovery code instead');
  await tab.heading('Use a recovery code');
  await tab.look('recovery');
  await tab.fill('Recovery code', who.recovery[3]);
  await tab.press('Continue');
  await tab.heading('Overview');
  step('a recovery code stands in for the phone');

  await tab.press('Log out');
  await tab.go('/login');
  await tab.fill('Name or e-mail address', who.name);
  await tab.fill('Password', who.password);
  await tab.press('Log in');
  await tab.follow('Use a recovery code instead');
  await tab.refused(401, async () => {
    await tab.fill('Recovery code', who.recovery[3]);
    await tab.press('Continue');
    await tab.says('The code is wrong');
    await tab.look('recovery-wrong');
  });
  step('it works once');

  await tab.refused(404, async () => {
    await tab.go('/account/nonsense');
    await tab.says('There is no such page.');
    await tab.look('not-found');
  });
  step('a page that is none says so');
});
