import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { Failure } from '../failure.ts';
import { projectFile } from '../root.ts';
import { checkValues } from './schema.ts';
import type { Values } from './strvals.ts';
import { settingsOf, valuesOfFlags } from './values.ts';

const settings = (...set: string[]) => settingsOf(valuesOfFlags({ set }));

describe('values', () => {
  it('are the defaults with what was given over them', () => {
    const given = settings('encryption.enabled=true', 'encryption.type=wireguard');
    assert.deepEqual(given.encryption, {
      enabled: true,
      type: 'wireguard',
      nodeEncryption: false,
      nodeEncryptionOptOutLabels: 'node-role.kubernetes.io/control-plane',
      wireguard: { persistentKeepalive: '0s' },
      ipsec: {
        secretName: 'cilium-ipsec-keys',
        keyFile: 'keys',
        mountPath: '/etc/ipsec',
        interface: '',
        keyWatcher: true,
        keyRotationDuration: '5m',
        keyRotationInterval: '',
        keyPacketLimit: 0,
        encapsulation: 'vxlan',
      },
    });
    assert.equal(given.operator.replicas, 1);
  });

  it('the defaults themselves fit the schema, and every value has one', () => {
    const defaults = parse(readFileSync(projectFile('deploy/values.yaml'), 'utf8')) as Values;
    checkValues(defaults);
    const schema = JSON.parse(readFileSync(projectFile('deploy/values.schema.json'), 'utf8')) as {
      properties: object;
    };
    assert.deepEqual(Object.keys(schema.properties).sort(), Object.keys(defaults).sort());
  });

  it('take files first, then --set', () => {
    const folder = mkdtempSync(join(tmpdir(), 'values-'));
    try {
      const file = join(folder, 'v.yaml');
      writeFileSync(file, 'encryption:\n  enabled: true\n  type: ipsec\nMTU: 1400\n');
      const values = valuesOfFlags({
        values: [file],
        set: ['encryption.type=wireguard'],
        setFile: [`cluster.name=${file}`],
      });
      assert.equal(settingsOf({ ...values, cluster: {} }).encryption.type, 'wireguard');
      assert.equal((values['cluster'] as Values)['name'], readFileSync(file, 'utf8'));
      writeFileSync(file, 'a: [b');
      assert.throws(() => valuesOfFlags({ values: [file] }), /v\.yaml is not YAML: /);
      writeFileSync(file, '- a\n');
      assert.throws(() => valuesOfFlags({ values: [file] }), /holds no values/);
      assert.throws(
        () => valuesOfFlags({ values: [join(folder, 'no')] }),
        /cannot be read: it does not exist/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const [set, message] of [
    [
      'encryption.type=wiregard',
      /^encryption\.type is "wiregard": write wireguard or ipsec \(did you mean "wireguard"\?\)$/,
    ],
    ['encryption.type=foo', /^encryption\.type is "foo": write wireguard or ipsec$/],
    [
      'encryption.enable=true',
      /^there is no value "encryption\.enable": did you mean "encryption\.enabled"\?$/,
    ],
    ['encyption.enabled=true', /^there is no value "encyption": did you mean "encryption"\?$/],
    ['encryption=true', /^encryption is true: write encryption\.NAME=VALUE, it holds further values$/],
    ['encryption.enabled=yes', /^encryption\.enabled is "yes": write true or false$/],
    ['hubble.enabled=true', /^hubble\.enabled is true, but Pellicle has no Hubble: only false$/],
    ['gatewayAPI.enabled=true', /^there is no value "gatewayAPI": deploy\/values\.yaml lists all there are$/],
    ['MTU=99999', /^MTU is 99999: write a whole number from 0 to 65535$/],
    ['clusterPodCIDRs={10.0.0.0}', /^clusterPodCIDRs\[0\] is "10\.0\.0\.0", which does not fit/],
    ['operator.replicas=many', /^operator\.replicas is "many": write a whole number$/],
  ] as const)
    it(`refuses ${set}`, () => {
      assert.throws(
        () => settings(set),
        (error: unknown) => {
          assert.ok(error instanceof Failure);
          assert.match(error.message, message);
          return true;
        },
      );
    });

  it('null gives the default back, and takes an entry out of a map', () => {
    const defaults = settingsOf({});
    assert.deepEqual(
      settings(
        'encryption=null',
        'ipam=null',
        'image=null',
        'operator.replicas=null',
        'encryption.type=null',
      ),
      defaults,
    );
    assert.deepEqual(settings('nodeSelector.kubernetes\\.io/os=null').nodeSelector, {});
  });

  it('tells a text from a boolean', () => {
    assert.throws(
      () => settingsOf(valuesOfFlags({ setString: ['encryption.enabled=true'] })),
      /is the text "true": write true or false without quotes \(with --set, not --set-string\)/,
    );
  });

  it('names every mistake at once', () => {
    assert.throws(
      () => settings('MTU=-1', 'encryption.type=x'),
      /MTU is -1.*; encryption|encryption.*; MTU is -1/,
    );
  });

  it('takes switched-off features that Pellicle does not have', () => {
    settings(
      'kubeProxyReplacement=false',
      'hubble.enabled=false',
      'l7Proxy=false',
      'kubeProxyReplacement=disabled',
    );
  });
});
