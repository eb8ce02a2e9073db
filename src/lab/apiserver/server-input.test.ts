/** What the server refuses, and that it goes on. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { type Answer, startTestServer, type TestServer } from './testing.ts';
import { MAPS, map } from './testing-samples.ts';

let server: TestServer;
before(async () => {
  server = await startTestServer();
});
after(() => server.close());

const post = (path: string, body: unknown) => server.ask('POST', path, body);
const get = (path: string, headers = {}) => server.ask('GET', path, undefined, headers);

describe('bad input', () => {
  const status = ({ status: code, body }: Answer) => [code, body?.kind, body?.reason];

  test('bodies that cannot be read', async () => {
    assert.deepEqual(status(await post(MAPS, '{"a":')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, '[]')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, '')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await post(MAPS, 'null')), [400, 'Status', 'BadRequest']);
    const as = (type: string, body: string | Buffer) =>
      server.ask('POST', MAPS, body, { 'Content-Type': type });
    assert.deepEqual(status(await as('application/vnd.kubernetes.protobuf', 'k8s\0\xff\xff')), [
      400,
      'Status',
      'BadRequest',
    ]);
    assert.deepEqual(status(await as('application/vnd.kubernetes.protobuf', 'nope')), [
      400,
      'Status',
      'BadRequest',
    ]);
    assert.deepEqual(status(await as('application/yaml', 'a: [')), [400, 'Status', 'BadRequest']);
    assert.deepEqual(status(await as('text/csv', 'a,b')), [415, 'Status', 'UnsupportedMediaType']);
    const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
    assert.ok([400, 201, 422].includes((await post(MAPS, deep)).status));
  });

  test('too large a body', async () => {
    const answer = await post(MAPS, map('big', { data: { a: 'x'.repeat(4 << 20) } })).catch(() => undefined);
    if (answer) assert.deepEqual(status(answer), [413, 'Status', 'RequestEntityTooLarge']);
    assert.equal((await get('/readyz')).status, 200);
  });

  test('objects that do not fit', async () => {
    const why = async (body: unknown, path = MAPS) => (await post(path, body)).body.message as string;
    assert.match(await why(map('x', { kind: 'Secret' })), /cannot be handled as a ConfigMap/);
    assert.match(await why(map('x', { apiVersion: 'v2' })), /does not match the expected API version/);
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', namespace: 'other' } }),
      /namespace of the provided object does not match/,
    );
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', resourceVersion: '1' } }),
      /resourceVersion should not be set/,
    );
    assert.match(
      await why({ ...map('x'), metadata: { name: 'x', labels: { 'a b': 'c' } } }),
      /metadata.labels: Invalid value: "a b"/,
    );
    assert.match(await why(map('x', { data: { a: 1 } })), /cannot unmarshal number into Go struct field/);
    assert.match(await why(map('x', { data: { 'a/b': '1' } })), /a valid config key must consist of/);
    const odd = await post(
      MAPS,
      JSON.parse(
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"proto"},"data":{"__proto__":"x","constructor":"y"}}',
      ),
    );
    assert.deepEqual(Object.keys(odd.body.data).sort(), ['__proto__', 'constructor']);
    const spec = {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'c' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    };
    assert.match(
      await why(
        { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec },
        '/apis/apps/v1/namespaces/default/deployments',
      ),
      /`selector` does not match template `labels`/,
    );
  });

  test('unknown fields warn by default, and are an error when that is asked for', async () => {
    const warned = await post(MAPS, map('warned', { dta: {} }));
    assert.match(String(warned.headers.warning), /299 - "unknown field \\"dta\\""/);
    const strict = await post(`${MAPS}?fieldValidation=Strict`, map('strict', { dta: {} }));
    assert.match(strict.body.message, /strict decoding error: unknown field "dta"/);
  });

  test('what nothing in the lab acts on is created with a warning', async () => {
    const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'idle' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'none' } } },
    };
    const made = await post(budgets, budget);
    assert.equal(made.status, 201);
    assert.match(
      String(made.headers.warning),
      /299 - "nothing in this lab counts the pods of .+ delete it"$/,
    );
    assert.equal((await post(budgets, budget)).headers.warning, undefined);
    assert.equal((await post(MAPS, map('acted-on'))).headers.warning, undefined);
    const job = ['create', 'cronjob', 'idle', '--image=i', '--schedule=* * * * *'];
    assert.match(
      (await server.kubectl(job)).stderr,
      /^Warning: nothing in this lab runs a CronJob: start it/m,
    );
  });

  test('paths, queries and methods that are not there', async () => {
    for (const path of [
      '/api/v1/rockets',
      '/apis/none/v1/x',
      '/nope',
      '/api/v1/namespaces/default/pods/x/nope',
      '/openapi/v2/x',
      '/api/v1/namespaces/%zz/pods',
    ])
      assert.ok([400, 404].includes((await get(path)).status), path);
    assert.equal((await server.ask('PUT', MAPS, map('x'))).status, 405);
    assert.equal((await server.ask('BREW', MAPS)).status >= 400, true);
    for (const query of [
      'labelSelector=a b c',
      'fieldSelector=x',
      'limit=many',
      'resourceVersion=abc',
      'watch=true&resourceVersion=x',
    ])
      assert.equal((await get(`${MAPS}?${encodeURI(query)}`)).status, 400, query);
    assert.equal((await get(`${MAPS}?resourceVersion=99999999`)).status, 504);
    assert.equal((await get(MAPS, { Accept: 'application/vnd.kubernetes.protobuf' })).status, 406);
  });

  test('patches that cannot be applied', async () => {
    await post(MAPS, map('patched', { data: { a: '1' } }));
    const patch = (type: string, body: unknown) =>
      server.ask('PATCH', `${MAPS}/patched`, body, { 'Content-Type': `application/${type}` });
    assert.equal((await patch('json-patch+json', [{ op: 'test', path: '/data/a', value: '2' }])).status, 422);
    assert.equal((await patch('json-patch+json', [{ op: 'remove', path: '/data/zz' }])).status, 422);
    assert.equal((await patch('json-patch+json', { op: 'add' })).status, 400);
    assert.equal((await patch('json-patch+json', [{ op: 'replace', path: '', value: 7 }])).status, 400);
    assert.equal((await patch('merge-patch+json', '7')).status, 400);
    assert.equal((await patch('strategic-merge-patch+json', '[]')).status, 400);
    assert.equal((await patch('apply-patch+yaml', 'a: b')).status, 400);
    assert.equal((await patch('x', '{}')).status, 415);
  });

  test('what is no HTTP at all ends that connection alone', async () => {
    await new Promise<void>(resolve => {
      const socket = connect({ host: '127.0.0.1', port: server.port, ca: server.authority.cert }, () =>
        socket.write('\0\0garbage\r\n\r\n'),
      );
      socket.resume();
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
    });
    assert.equal((await get('/readyz')).status, 200);
  });
});
