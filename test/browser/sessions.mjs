// Where somebody is logged in, and ending it.
import { browser, enrolled, must, step } from './lib.mjs';

await browser(async (here) => {
  await here.ready();
  const who = await enrolled(here);
  await browser(async (there) => {
    await there.logIn(who);
    await there.heading('Overview');
    await here.go('/account');
    must(await here.page.getByText('this one').count() === 1, 'which one is this');
    await here.look('sessions');
    step('both browsers are listed, and which one this is');

    await here.page.getByRole('button', { name: /^End / }).first().click();
    await here.says('That login has ended.');
    await there.go('/account');
    await there.at('/login?to=%2Faccount', 'Log in');
    step('the other browser is logged out from here');

    await there.logIn(who);
    await there.heading('Overview');
    await here.go('/account');
    await here.press('End all others');
    await here.says('All other logins have ended.');
    await there.go('/');
    await there.at('/login', 'Log in');
    step('all others are ended at once');
  });

  await here.go('/account');
  await here.page.getByRole('button', { name: /^Log out / }).click();
  await here.heading('You are logged out');
  await here.go('/account');
  await here.heading('Log in');
  step('and this one too');
});
