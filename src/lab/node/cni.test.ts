import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Attachment, Cni, CniError, readNetworkConfig, resultAddresses } from './cni.ts';

const folder = mkdtempSync(join(tmpdir(), 'cni-'));
after(() => rmSync(folder, { recursive: true }));
const attachment: Attachment = {
  containerId: 'abc',
  netns: folder,
  podNamespace: 'ns',
  podName: 'p',
  podUid: 'u',
  portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
};

function plugin(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}`);
  chmodSync(join(folder, name), 0o755);
}

test('the first valid configuration by name counts', () => {
  const configs = join(folder, 'net.d');
  mkdirSync(configs);
  assert.equal(readNetworkConfig(configs), undefined);
  writeFileSync(join(configs, '00-bad.conflist'), '{');
  writeFileSync(join(configs, '05-a.conflist'), '{"name":"a","cniVersion":"1.1.0","plugins":[{"type":"x"}]}');
  writeFileSync(join(configs, '10-b.conf'), '{"name":"b","type":"y"}');
  assert.equal(readNetworkConfig(configs)?.name, 'a');
  writeFileSync(
    join(configs, '04-c.conflist'),
    '{"name":"c","cniVersion":"1.0.0","cniVersions":["1.0.0","1.1.0","9.0.0"],"plugins":[{"type":"x"}]}',
  );
  assert.equal(readNetworkConfig(configs)?.cniVersion, '1.1.0');
  rmSync(join(configs, '04-c.conflist'));
  rmSync(join(configs, '05-a.conflist'));
  assert.deepEqual(readNetworkConfig(configs)?.plugins[0]?.type, 'y');
  assert.equal(readNetworkConfig(join(folder, 'nowhere')), undefined);
});

test('a chain is called with the results before, and undone backwards', async () => {
  const log = join(folder, 'log');
  const body = (name: string) =>
    `input=$(cat); echo "${name} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS $input" >> ${log}
[ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"fd00::2/128"},{"address":"10.1.1.2/32"}]}'\n`;
  plugin('first', body('first'));
  plugin('second', body('second'));
  const config = {
    name: 'net',
    cniVersion: '1.1.0',
    file: '',
    plugins: [{ type: 'first' }, { type: 'second', capabilities: { portMappings: true } }],
  };
  const cni = new Cni(folder);
  const result = await cni.add(config, attachment);
  assert.deepEqual(resultAddresses(result), ['10.1.1.2', 'fd00::2']);
  await cni.remove(config, attachment, result);
  await cni.collectGarbage(config, ['abc']);
  const calls = readFileSync(log, 'utf8').trim().split('\n');
  assert.deepEqual(
    calls.map(call => call.split(' ').slice(0, 4).join(' ')),
    [
      'first ADD abc eth0',
      'second ADD abc eth0',
      'second DEL abc eth0',
      'first DEL abc eth0',
      'first GC  ',
      'second GC  ',
    ],
  );
  assert.match(calls[0]!, /K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;/);
  assert.doesNotMatch(calls[0]!, /prevResult|runtimeConfig|capabilities/);
  assert.match(calls[1]!, /"runtimeConfig":\{"portMappings":\[\{"hostPort":80/);
  assert.match(calls[4]!, /"cni.dev\/valid-attachments":\[\{"containerID":"abc","ifname":"eth0"\}\]/);
  assert.match(calls[1]!, /"prevResult":\{"cniVersion":"1.1.0"/);
});

test("a plugin's error is told with its code; a missing plugin too", async () => {
  plugin(
    'sad',
    `echo '{"cniVersion":"1.1.0","code":11,"msg":"agent is down","details":"try again"}'; exit 1\n`,
  );
  const config = (type: string) => ({ name: 'n', cniVersion: '1.1.0', file: '', plugins: [{ type }] });
  await assert.rejects(new Cni(folder).add(config('sad'), attachment), (error: CniError) => {
    assert.equal(error.code, 11);
    assert.equal(error.message, 'plugin type="sad" failed (add): agent is down; try again');
    return error instanceof CniError;
  });
  await assert.rejects(new Cni(folder).add(config('none'), attachment), /failed to find plugin "none"/);
  await assert.rejects(new Cni(folder).add(config('../sh'), attachment), /failed to find plugin/);
});
