// Drives the scenario of interop_test.go with autobahn-js. Prints "ok NAME" for each step and exits 0 when all of them passed.
import autobahn from 'autobahn';
import { check, equal, finish, settings } from './scenario.mjs';

const { url, realm, authid, secret, serializer, project, app } = settings;
const serializers = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};

function open(withSecret) {
  return new Promise((resolve, reject) => {
    const connection = new autobahn.Connection({
      url, realm, authid, authmethods: ['wampcra'], max_retries: 0, serializers: [serializers[serializer]()],
      onchallenge: (_session, _method, extra) => autobahn.auth_cra.sign(withSecret, extra.challenge),
    });
    connection.onopen = (session) => resolve({ connection, session });
    connection.onclose = (reason, details) => { reject(new Error(`${reason} ${details?.reason}`)); return true; };
    connection.open();
  });
}

await check('a wrong secret is refused', async () => {
  const refused = await open('wrong').then(() => 'joined', (e) => e.message);
  equal(refused.includes('wamp.error.authentication_failed'), true, refused);
});

const one = await open(secret);
const two = await open(secret);

await check('subscribe and publish', async () => {
  const event = await new Promise((resolve, reject) => {
    one.session.subscribe('com.example.topic', (args, kwargs, details) => resolve({ args, kwargs, details }))
      .then(() => two.session.publish('com.example.topic', [1, 'ö', [true, null], 2.5], { n: 7 }, { acknowledge: true }))
      .catch(reject);
  });
  equal(event.args, [1, 'ö', [true, null], 2.5]);
  equal(event.kwargs, { n: 7 });
  equal(event.details.publisher, two.session.id);
});

await check('subscribe by prefix', async () => {
  const topic = await new Promise((resolve, reject) => {
    one.session.subscribe('com.prefix.', (_args, _kwargs, details) => resolve(details.topic), { match: 'prefix' })
      .then(() => two.session.publish('com.prefix.a.b', [], {}, { acknowledge: true }))
      .catch(reject);
  });
  equal(topic, 'com.prefix.a.b');
});

await check('register and call', async () => {
  await one.session.register('com.example.add', ([a, b], kwargs, details) => new autobahn.Result([a + b], { from: details.caller_authid, ...kwargs }));
  const result = await two.session.call('com.example.add', [2, 3], { x: 1 });
  equal(result.args, [5]);
  equal(result.kwargs, { from: authid, x: 1 });
});

await check('progressive results', async () => {
  await one.session.register('com.example.count', ([n], _kwargs, details) => {
    for (let i = 0; i < n; i++) details.progress([i]);
    return n;
  });
  const progress = [];
  const pending = two.session.call('com.example.count', [3], {}, { receive_progress: true });
  await new Promise((resolve, reject) => pending.then(resolve, reject, (p) => progress.push(p)));
  equal(progress.flat(), [0, 1, 2]);
});

await check('an error reaches the caller', async () => {
  await one.session.register('com.example.fail', () => { throw new autobahn.Error('com.example.error', ['why'], { code: 3 }); });
  const error = await two.session.call('com.example.fail').then(() => null, (e) => e);
  equal([error.error, error.args, error.kwargs], ['com.example.error', ['why'], { code: 3 }]);
});

await check('an unknown procedure and another project are refused', async () => {
  const unknown = await two.session.call('com.example.none').then(() => null, (e) => e);
  equal(unknown.error, 'wamp.error.no_such_procedure');
  const reserved = await two.session.publish('wamp.session.on_join', [], {}, { acknowledge: true }).then(() => null, (e) => e);
  equal(reserved.error, 'wamp.error.invalid_uri');
});

await check('a row is published', async () => {
  await two.session.publish(`${project}.${app}.metrics`, [{ tsp: 1700000000000, temperature: 20.5 }], {}, { acknowledge: true });
});

one.connection.close();
two.connection.close();
finish();
