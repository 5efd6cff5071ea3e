// Drives the scenario of interop_test.go with wampy. Prints "ok NAME" for each step and exits 0 when all of them passed.
import { Wampy } from 'wampy';
import { CborSerializer } from 'wampy/CborSerializer.js';
import { JsonSerializer } from 'wampy/JsonSerializer.js';
import { MsgpackSerializer } from 'wampy/MsgpackSerializer.js';
import * as wampyCra from 'wampy/wampcra.js';
import WebSocket from 'ws';
import { check, equal, finish, settings } from './scenario.mjs';

const { url, realm, authid, secret, serializer, project, app } = settings;
const serializers = { json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer };

async function open(withSecret) {
  const client = new Wampy(url, {
    ws: WebSocket, realm, authid, authmethods: ['wampcra'], autoReconnect: false, serializer: new serializers[serializer](),
    onChallenge: wampyCra.sign(withSecret),
  });
  await client.connect();
  return client;
}

await check('a wrong secret is refused', async () => {
  const refused = await open('wrong').then(() => 'joined', (e) => `${e.message} ${JSON.stringify(e)}`);
  equal(refused === 'joined', false);
});

const one = await open(secret);
const two = await open(secret);

await check('subscribe and publish', async () => {
  let arrived;
  const event = new Promise((resolve) => { arrived = resolve; });
  await one.subscribe('com.example.topic', arrived);
  await two.publish('com.example.topic', { argsList: [1, 'ö', [true, null], 2.5], argsDict: { n: 7 } });
  const { argsList, argsDict } = await event;
  equal(argsList, [1, 'ö', [true, null], 2.5]);
  equal(argsDict, { n: 7 });
});

await check('subscribe by prefix', async () => {
  let arrived;
  const event = new Promise((resolve) => { arrived = resolve; });
  await one.subscribe('com.prefix', arrived, { match: 'prefix' });
  await two.publish('com.prefix.a.b', { argsList: [1] });
  equal((await event).details.topic, 'com.prefix.a.b');
});

await check('register and call', async () => {
  await one.register('com.example.add', ({ argsList, argsDict }) => ({ argsList: [argsList[0] + argsList[1]], argsDict }));
  const result = await two.call('com.example.add', { argsList: [2, 3], argsDict: { x: 1 } });
  equal(result.argsList, [5]);
  equal(result.argsDict, { x: 1 });
});

await check('progressive results', async () => {
  await one.register('com.example.count', ({ argsList, result_handler: send }) => {
    for (let i = 0; i < argsList[0]; i++) send({ argsList: [i], options: { progress: true } });
    send({ argsList: [argsList[0]], options: { progress: false } });
  });
  const progress = [];
  const result = await two.call('com.example.count', { argsList: [3] }, { progress_callback: ({ argsList }) => progress.push(argsList[0]) });
  equal(progress.concat(result.argsList), [0, 1, 2, 3]);
});

await check('an error reaches the caller', async () => {
  await one.register('com.example.fail', () => { throw Object.assign(new Error('why'), { error: 'com.example.error', argsList: ['why'] }); });
  const error = await two.call('com.example.fail').then(() => null, (e) => e);
  equal([error.errorUri, error.argsList], ['com.example.error', ['why']]);
});

await check('an unknown procedure and the router\'s topics are refused', async () => {
  const unknown = await two.call('com.example.none').then(() => null, (e) => e);
  equal(unknown.errorUri, 'wamp.error.no_such_procedure');
  const reserved = await two.publish('wamp.session.on_join', { argsList: [1] }).then(() => null, (e) => e);
  equal(reserved !== null, true); // wampy refuses it before it asks the router
});

await check('a row is published', async () => {
  await two.publish(`${project}.${app}.metrics`, { argsList: [{ tsp: 1700000000000, temperature: 20.5 }] });
});

await one.disconnect();
await two.disconnect();
finish();
