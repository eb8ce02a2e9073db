import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type KubeClient } from './client.ts';
import { FakeApiServer } from './fake-apiserver.ts';
import { LONGEST_PAUSE, Reflector, type ReflectorClock } from './reflector.ts';
import { NODES, type Node } from './types.ts';

const COLLECTION = '/api/v1/nodes';
const node = (name: string, labels: Record<string, string> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec: {},
});

describe('reflector', () => {
  let server: FakeApiServer;
  let client: KubeClient;
  let seen: string[];
  let logged: string[];
  let running: Reflector<Node>[];

  beforeEach(async () => {
    server = new FakeApiServer();
    client = connect({ server: await server.listen() }, { timeout: 500 });
    seen = [];
    logged = [];
    running = [];
  });
  afterEach(async () => {
    for (const reflector of running) reflector.stop();
    await server.close();
  });

  function reflect(clock?: ReflectorClock): Reflector<Node> {
    const reflector = new Reflector(client, NODES, {
      onChange: ({ type, object, old }) => {
        seen.push(`${type} ${object.metadata.name}`);
        assert.equal(old !== undefined, type === 'modified');
      },
      onSync: () => seen.push('synced'),
      log: message => logged.push(message),
      ...(clock && { clock }),
    });
    running.push(reflector);
    reflector.start();
    return reflector;
  }

  it('lists, says so, then follows', async () => {
    server.put(COLLECTION, node('a'));
    const reflector = reflect();
    await reflector.synced;
    await until(() => server.watchCount === 1);
    server.put(COLLECTION, node('b'));
    server.put(COLLECTION, node('a', { x: '1' }));
    server.remove(COLLECTION, 'b');
    await until(() => seen.length === 5);
    assert.deepEqual(seen, ['added a', 'synced', 'added b', 'modified a', 'deleted b']);
    assert.equal(reflector.get('a')?.metadata.labels?.['x'], '1');
    assert.equal(reflector.get('b'), undefined);
    assert.equal(reflector.items().length, 1);
  });

  it('resumes a watch that broke without listing again or telling anything twice', async () => {
    server.put(COLLECTION, node('a'));
    await reflect().synced;
    for (const rudely of [false, true]) {
      await until(() => server.watchCount === 1);
      server.dropWatches(rudely);
      server.put(COLLECTION, node(`after-${rudely}`));
    }
    await until(() => seen.includes('added after-true'));
    assert.deepEqual(seen, ['added a', 'synced', 'added after-false', 'added after-true']);
    assert.equal(server.requests.filter(line => !line.includes('watch')).length, 1);
  });

  it('lists again after 410 and reports the differences', async () => {
    server.put(COLLECTION, node('stays'));
    server.put(COLLECTION, node('goes'));
    server.put(COLLECTION, node('changes'));
    await reflect().synced;
    await until(() => server.watchCount === 1);
    server.dropWatches();
    server.remove(COLLECTION, 'goes');
    server.put(COLLECTION, node('changes', { x: '1' }));
    server.put(COLLECTION, node('comes'));
    server.compact();
    await until(() => seen.length === 7);
    assert.deepEqual(seen.slice(4).sort(), ['added comes', 'deleted goes', 'modified changes']);
  });

  it('lists again when the watch itself says 410', async () => {
    await reflect().synced;
    await until(() => server.watchCount === 1);
    server.sendRaw(
      '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
    );
    await until(() => server.requests.filter(line => !line.includes('watch')).length === 2);
  });

  it('an object that was deleted and made again under its name is reported as both', async () => {
    const first = server.put(COLLECTION, node('a'));
    await reflect().synced;
    await until(() => server.watchCount === 1);
    server.dropWatches();
    server.remove(COLLECTION, 'a');
    const second = server.put(COLLECTION, node('a'));
    server.compact();
    assert.notEqual(first.metadata.uid, second.metadata.uid);
    await until(() => seen.length === 4);
    assert.deepEqual(seen, ['added a', 'synced', 'deleted a', 'added a']);
  });

  it('moves on with bookmarks', async () => {
    await reflect().synced;
    await until(() => server.watchCount === 1);
    server.put('/api/v1/pods', node('another-type'));
    server.bookmark('Node');
    server.dropWatches();
    await until(() => server.watchCount === 1);
    const watches = server.requests.filter(line => line.includes('watch=true'));
    const versions = watches.map(line =>
      Number(new URL(line.slice(4), 'http://x').searchParams.get('resourceVersion')),
    );
    assert.equal(versions.length, 2);
    assert.ok((versions[1] ?? 0) > (versions[0] ?? 0));
    assert.match(watches[0] ?? '', /allowWatchBookmarks=true/);
  });

  for (const garbage of [
    'garbage\n',
    '{"type":"ADDED"}\n',
    '{"type":"ADDED","object":{}}\n',
    '{"type":"NEW","object":{"metadata":{"name":"n","resourceVersion":"1"}}}\n',
    '[]\n',
  ])
    it(`goes on after the line ${garbage.trim()}`, async () => {
      await reflect().synced;
      await until(() => server.watchCount === 1);
      server.sendRaw(garbage);
      server.put(COLLECTION, node('after'));
      await until(() => seen.includes('added after'));
      assert.ok(logged.length > 0);
    });

  it('waits for a server that is not there yet, is slow, or refuses', async () => {
    const { port } = new URL(client.server);
    await server.close();
    const reflector = reflect(quick());
    await until(() => logged.length > 2);
    server = new FakeApiServer();
    server.delay = 1_000;
    server.put(COLLECTION, node('a'));
    await server.listen(Number(port));
    await until(() => logged.some(message => message.includes('did not answer in time')));
    server.delay = 0;
    server.answers.set('GET', () => ({
      status: 403,
      body: { kind: 'Status', code: 403, message: 'forbidden' },
    }));
    await until(() => logged.some(message => message.includes('forbidden')));
    server.answers.clear();
    await reflector.synced;
    assert.deepEqual(seen, ['added a', 'synced']);
  });

  it('pauses grow, stay bounded and are jittered', async () => {
    await server.close();
    const pauses: number[] = [];
    const clock = {
      now: () => 0,
      random: () => 0.5,
      sleep: async (milliseconds: number) => void pauses.push(milliseconds),
    };
    const reflector = reflect(clock);
    await until(() => pauses.length > 12);
    reflector.stop();
    assert.deepEqual(pauses.slice(0, 3), [75, 150, 300]);
    assert.equal(Math.max(...pauses), LONGEST_PAUSE * 0.75);
    server = new FakeApiServer();
    await server.listen();
  });

  it('is silent once stopped', async () => {
    const reflector = reflect();
    await reflector.synced;
    await until(() => server.watchCount === 1);
    reflector.stop();
    server.put(COLLECTION, node('late'));
    await until(() => server.watchCount === 0);
    assert.deepEqual(seen, ['synced']);
  });
});

function quick(): ReflectorClock {
  return {
    now: () => performance.now(),
    random: () => 0,
    sleep: async (_, signal) => {
      await sleep(5, undefined, { signal }).catch(() => {});
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(5);
  }
}
