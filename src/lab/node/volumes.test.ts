import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Pod, Volume } from '../../kube/core.ts';
import { isSafePath, writeAtomically } from './atomicwriter.ts';
import { PodVolumes, referredObjects, type VolumeSources } from './volumes.ts';

const folder = mkdtempSync(join(tmpdir(), 'volumes-'));
after(() => rmSync(folder, { recursive: true }));
const base64 = (text: string) => Buffer.from(text).toString('base64');
const sources = (value: string): VolumeSources => ({
  secret: name =>
    name === 's'
      ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { key: base64(value) } }
      : undefined,
  configMap: name =>
    name === 'm' ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: '1' } } : undefined,
  token: async ({ audience }) => `token for ${audience ?? 'the API server'}`,
  facts: { nodeName: 'n', hostIps: [], podIps: [], cpus: 1, memoryBytes: 1 },
});
const podWith = (...volumes: Volume[]): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', labels: { app: 'x' } },
  spec: { containers: [{ name: 'c' }], volumes },
});

test('files are swapped as a whole, by the link ..data', async () => {
  const root = join(folder, 'atomic');
  const files = (text: string, name = 'a') => new Map([[name, { data: Buffer.from(text), mode: 0o640 }]]);
  assert.equal(await writeAtomically(root, files('one')), true);
  assert.equal(readFileSync(join(root, 'a'), 'utf8'), 'one');
  assert.equal(readlinkSync(join(root, 'a')), '..data/a');
  assert.equal(statSync(join(root, 'a')).mode & 0o777, 0o640);
  const before = readlinkSync(join(root, '..data'));
  assert.equal(await writeAtomically(root, files('one')), false);
  assert.equal(await writeAtomically(root, files('two')), true);
  assert.notEqual(readlinkSync(join(root, '..data')), before);
  assert.equal(readFileSync(join(root, 'a'), 'utf8'), 'two');
  await writeAtomically(root, files('three', 'b/c'));
  assert.deepEqual(
    readdirSync(root).filter(name => !name.startsWith('..')),
    ['b'],
  );
  assert.equal(readdirSync(root).length, 3);
});

test('paths that lead out of a volume are refused', () => {
  for (const path of ['/etc', '../x', 'a/../../x', '', '..data']) assert.equal(isSafePath(path), false, path);
  assert.equal(isSafePath('a/b..c'), true);
});

test('Secrets, projected sources and what is missing', async () => {
  const volumes = new PodVolumes(join(folder, 'pod'));
  const pod = podWith(
    { name: 'sec', secret: { secretName: 's', items: [{ key: 'key', path: 'deep/file', mode: 0o400 }] } },
    {
      name: 'all',
      projected: {
        sources: [
          { serviceAccountToken: { path: 'token' } },
          { configMap: { name: 'm' } },
          { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
          { secret: { name: 'gone', optional: true } },
        ],
      },
    },
  );
  await volumes.sync(pod, sources('v1'));
  const at = (...path: string[]) => readFileSync(join(folder, 'pod', 'volumes', ...path), 'utf8');
  assert.equal(at('sec', 'deep', 'file'), 'v1');
  assert.equal(at('all', 'token'), 'token for the API server');
  assert.equal(at('all', 'a'), '1');
  assert.equal(at('all', 'labels'), 'app="x"');
  await volumes.sync(pod, sources('v2'));
  assert.equal(at('sec', 'deep', 'file'), 'v2');
  await assert.rejects(
    volumes.sync(podWith({ name: 'x', secret: { secretName: 'gone' } }), sources('')),
    /^Error: MountVolume.SetUp failed for volume "x" : secret "gone" not found$/,
  );
  await assert.rejects(
    volumes.sync(podWith({ name: 'x', nfs: {} } as Volume), sources('')),
    /volumes of type nfs are not in this lab/,
  );
});

test('a subPath does not lead out of its volume by a symbolic link', async () => {
  const volumes = new PodVolumes(join(folder, 'sub'));
  const pod = podWith({ name: 'e', emptyDir: {} });
  await volumes.sync(pod, sources(''));
  const mount = (subPath: string) =>
    volumes.mounts(pod, { name: 'c', volumeMounts: [{ name: 'e', mountPath: '/m', subPath }] });
  assert.equal((await mount('inner'))[0]?.source, join(folder, 'sub/volumes/e/inner'));
  symlinkSync('/etc', join(folder, 'sub/volumes/e/out'));
  await assert.rejects(mount('out'), /leads out of the volume/);
  await assert.rejects(mount('../x'), /is not inside the volume/);
});

test('all objects that a pod refers to are found', () => {
  const pod = podWith({ name: 'v', secret: { secretName: 's1' } });
  pod.spec.initContainers = [{ name: 'i', envFrom: [{ configMapRef: { name: 'm1' } }] }];
  pod.spec.containers[0]!.env = [{ name: 'E', valueFrom: { secretKeyRef: { name: 's2', key: 'k' } } }];
  assert.deepEqual(
    referredObjects(pod)
      .map(ref => `${ref.kind}/${ref.namespace}/${ref.name}`)
      .sort(),
    ['ConfigMap/ns/m1', 'Secret/ns/s1', 'Secret/ns/s2'],
  );
});
