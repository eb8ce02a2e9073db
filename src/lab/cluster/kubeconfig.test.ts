import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { addContext, kubeconfigPath, removeContext } from './kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
after(() => rmSync(folder, { recursive: true }));
const identity = { ca: 'CA', cert: 'CERT', key: 'KEY' };
const others = `# mine
apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: prod # do not touch
  cluster: {server: https://prod}
contexts:
- name: prod
  context: {cluster: prod, user: me, namespace: shop}
users:
- name: me
  user: {token: secret}
preferences: {}
`;

test('entries come into a file that has others, and go again without a trace', async () => {
  const path = join(folder, 'merged');
  writeFileSync(path, others, { mode: 0o600 });
  const record = await addContext(path, 'kind-kind', 'https://127.0.0.1:1', identity);
  const config = parse(readFileSync(path, 'utf8'));
  assert.equal(config['current-context'], 'kind-kind');
  assert.deepEqual(
    config.clusters.map((each: { name: string }) => each.name),
    ['prod', 'kind-kind'],
  );
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(record, { path, created: false, previousContext: 'prod' });
  const again = await addContext(path, 'kind-kind', 'https://127.0.0.1:2', identity, record);
  assert.deepEqual(again, record);
  assert.equal(parse(readFileSync(path, 'utf8')).clusters.length, 2);
  assert.equal(await removeContext(record, 'kind-kind', identity.ca), true);
  assert.deepEqual(parse(readFileSync(path, 'utf8')), parse(others));
  assert.match(readFileSync(path, 'utf8'), /# do not touch/);
  assert.equal(await removeContext(record, 'kind-kind', identity.ca), false);
});

test('a file made for the lab goes with it', async () => {
  const path = join(folder, 'new', 'deep', 'config');
  const record = await addContext(path, 'kind-kind', 'https://127.0.0.1:1', identity);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await removeContext(record, 'kind-kind', identity.ca);
  assert.ok(!existsSync(join(folder, 'new')));
});

test('what is no regular file is refused and stays what it is', async () => {
  await assert.rejects(addContext('/dev/null', 'kind-a', 's', identity), /no regular file: set KUBECONFIG/);
  await assert.rejects(addContext(folder, 'kind-a', 's', identity), /no regular file: set KUBECONFIG/);
  assert.ok(statSync('/dev/null').isCharacterDevice());
  assert.ok(!existsSync('/dev/null.lock'));
  assert.equal(await removeContext({ path: '/dev/null', created: true }, 'kind-a', identity.ca), false);
});

test('a place that cannot be written is told with what to do', async () => {
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(
    addContext(join(folder, 'file', 'config'), 'kind-a', 's', identity),
    /cannot write .*: set KUBECONFIG to a file that can be written/,
  );
});

test('the namespace that was chosen for the context outlives a repair', async () => {
  const path = join(folder, 'chosen');
  const record = await addContext(path, 'kind-kind', 'https://127.0.0.1:1', identity);
  const config = parse(readFileSync(path, 'utf8'));
  config.contexts[0].context.namespace = 'shop';
  writeFileSync(path, JSON.stringify(config));
  await addContext(path, 'kind-kind', 'https://127.0.0.1:2', identity, record);
  const { context } = parse(readFileSync(path, 'utf8')).contexts[0];
  assert.deepEqual(context, { cluster: 'kind-kind', user: 'kind-kind', namespace: 'shop' });
});

test("somebody else's cluster of that name is left alone", async () => {
  const path = join(folder, 'theirs');
  const record = await addContext(path, 'kind-kind', 'https://127.0.0.1:1', { ...identity, ca: 'OTHER' });
  await assert.rejects(
    addContext(path, 'kind-kind', 'https://127.0.0.1:2', identity),
    /choose another --name/,
  );
  assert.equal(await removeContext(record, 'kind-kind', 'CA'), false);
  assert.ok(existsSync(path));
});

test('a symbolic link stays one; bad YAML is refused', async () => {
  const link = join(folder, 'link');
  writeFileSync(join(folder, 'target'), '');
  symlinkSync('target', link);
  await addContext(link, 'kind-a', 'https://127.0.0.1:1', identity);
  assert.match(readFileSync(join(folder, 'target'), 'utf8'), /kind-a/);
  writeFileSync(join(folder, 'bad'), 'a: [');
  await assert.rejects(addContext(join(folder, 'bad'), 'kind-a', 's', identity), /no valid YAML/);
  assert.equal(readFileSync(join(folder, 'bad'), 'utf8'), 'a: [');
});

test('$KUBECONFIG is a list: the first that exists, else the last', () => {
  const there = join(folder, 'target');
  writeFileSync(there, '');
  assert.equal(kubeconfigPath({ KUBECONFIG: `/nowhere/a:${there}:/nowhere/b` }), there);
  assert.equal(kubeconfigPath({ KUBECONFIG: '/nowhere/a:/nowhere/b' }), '/nowhere/b');
  assert.equal(kubeconfigPath({ HOME: '/home/me' }), '/home/me/.kube/config');
});
