import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import type { Secret } from '../kube/types.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import type { GoodKeySecret } from '../operator/keysecret.ts';
import { ageText } from './age.ts';
import { FakeCluster, KEY_LINE, PATHS } from './testing.ts';

const KEY_3: Epoch = 'ipsec/3/0123456789abcdef';

describe('cilium encryption create-key, rotate-key, key-status', () => {
  let cluster: FakeCluster;
  beforeEach(async () => {
    cluster = new FakeCluster();
    await cluster.start();
  });
  afterEach(() => cluster.stop());

  const install = async () => {
    const flags = ['--set', 'encryption.enabled=true', '--set', 'encryption.type=ipsec'];
    const { code, err } = await cluster.run('install', ...flags);
    assert.equal(code, 0, err);
  };
  const good = (): GoodKeySecret => {
    const keys = cluster.keys();
    assert.ok(keys && 'epoch' in keys, JSON.stringify(keys));
    return keys;
  };

  describe('create-key', () => {
    it('makes a key that agents take, and says nothing of it but the id', async () => {
      const { code, out, err } = await cluster.run('encryption', 'create-key');
      assert.equal(code, 0, err);
      assert.equal(out, 'IPsec key successfully created, new key SPI: 1\n');
      const { current, created, warnings } = good();
      assert.equal(current.suite.cipher, 'rfc4106(gcm(aes))');
      assert.equal(current.suite.keyLength, 16);
      assert.deepEqual(warnings, []);
      assert.ok(created && Date.now() - created < 60_000);
      await install();
    });

    it('makes keys of every kind', async () => {
      for (const [name, cipher, integrity] of [
        ['rfc4106-gcm-aes-256', 'rfc4106(gcm(aes))', undefined],
        ['rfc7539esp-chacha20-poly1305', 'rfc7539esp(chacha20,poly1305)', undefined],
        ['cbc-aes-sha512', 'cbc(aes)', 'hmac(sha512)'],
      ] as const) {
        cluster.server.remove(PATHS.secrets, 'cilium-ipsec-keys', 'kube-system');
        assert.equal((await cluster.run('encrypt', 'create-key', '--auth-algo', name)).code, 0);
        assert.equal(good().current.suite.cipher, cipher);
        assert.equal(good().current.suite.integrity, integrity);
      }
      const { code, err } = await cluster.run('encryption', 'create-key', '--auth-algo', 'md5');
      assert.equal(code, 2);
      assert.match(err, /Allowed choices are rfc4106-gcm-aes, /);
    });

    it('leaves one that is there alone, also a bad one, also one that comes at the same moment', async () => {
      const refused =
        /IPsec secret already exists \(kube-system\/cilium-ipsec-keys\), rotate key if needed using/;
      for (const text of [KEY_LINE, 'garbage']) {
        cluster.writeKeys(text);
        const { code, err } = await cluster.run('encryption', 'create-key');
        assert.equal(code, 1);
        assert.match(err, refused);
      }
      cluster.server.answers.set('GET /api/v1/namespaces/kube-system/secrets/cilium-ipsec-keys', () => ({
        status: 404,
        body: { kind: 'Status', code: 404, reason: 'NotFound' },
      }));
      assert.match((await cluster.run('encryption', 'create-key')).err, refused);
    });

    it('takes an id that no node has in use', async () => {
      cluster.advertise([KEY_3, 'ipsec/1/0123456789abcdef'], [KEY_3]);
      assert.match((await cluster.run('encryption', 'create-key')).out, /SPI: 2$/m);
    });
  });

  describe('rotate-key', () => {
    it('writes a new key under the next id, with + and of the same kind', async () => {
      cluster.writeKeys(KEY_LINE.replace('3+', '3'));
      const before = good();
      const { code, out, err } = await cluster.run('encryption', 'rotate-key');
      assert.equal(code, 0, err);
      assert.equal(out, 'IPsec key successfully rotated, new key SPI: 4\n');
      assert.equal(err, '');
      const after = good();
      assert.equal(after.current.marked, true);
      assert.deepEqual(after.current.suite, before.current.suite);
      assert.notEqual(after.current.fingerprint, before.current.fingerprint);
      assert.equal(after.keys.length, 1);
    });

    it('goes from 15 to 1, and past ids in use', async () => {
      cluster.writeKeys(KEY_LINE.replace('3+', '15+'));
      assert.match((await cluster.run('encryption', 'rotate-key')).out, /SPI: 1$/m);
      cluster.advertise(['ipsec/2/0123456789abcdef', good().epoch], [good().epoch]);
      assert.match((await cluster.run('encryption', 'rotate-key')).out, /SPI: 3$/m);
    });

    it('changes the algorithm, but never to a shorter key', async () => {
      cluster.writeKeys(KEY_LINE);
      await cluster.run('encryption', 'rotate-key', '--auth-algo', 'rfc4106-gcm-aes-256');
      assert.equal(good().current.suite.keyLength, 32);
      const before = good().epoch;
      const { code, err } = await cluster.run('encryption', 'rotate-key', '--auth-algo', 'rfc4106-gcm-aes');
      assert.equal(code, 1);
      assert.match(err, /a rotation never weakens/);
      assert.equal(good().epoch, before);
    });

    it('wants a key to follow, and a good one unless forced', async () => {
      assert.match(
        (await cluster.run('encryption', 'rotate-key')).err,
        /make it first with cilium encryption create-key/,
      );
      cluster.writeKeys('3+ rfc4106(gcm(aes)) 00010203 128');
      const { code, err } = await cluster.run('encryption', 'rotate-key');
      assert.equal(code, 1);
      assert.match(
        err,
        /no key that can be used: line 1, field 3: .*put a new key in its place with --force/,
      );
      assert.ok(!err.includes('00010203'));
      cluster.advertise([KEY_3], [KEY_3]);
      assert.match((await cluster.run('encryption', 'rotate-key', '--force')).out, /SPI: 4$/m);
      assert.equal(good().current.suite.keyLength, 16);
    });

    it('waits for a rotation that is in progress, unless forced', async () => {
      cluster.writeKeys(KEY_LINE);
      await install();
      cluster.advertise([KEY_3, good().epoch], [good().epoch], ['kind-worker']);
      const { code, err } = await cluster.run('encryption', 'rotate-key');
      assert.equal(code, 1);
      assert.match(
        err,
        /still in progress \(key 3: 1\/1 nodes open it, 1\/1 seal with it alone, 0\/1 .*; waiting for kind-worker\)/,
      );
      assert.match((await cluster.run('encryption', 'rotate-key', '--force')).out, /SPI: 4$/m);
    });

    it('says so when somebody else writes at the same moment', async () => {
      cluster.writeKeys(KEY_LINE);
      const conflict = { kind: 'Status', code: 409, reason: 'Conflict', message: 'modified' };
      cluster.server.answers.set('PATCH /api/v1/namespaces/kube-system/secrets', () => ({
        status: 409,
        body: conflict,
      }));
      assert.match((await cluster.run('encryption', 'rotate-key')).err, /somebody else wrote the Secret/);
    });

    it('--wait follows the nodes to the end', async () => {
      cluster.writeKeys(KEY_LINE);
      await install();
      const old = good().epoch;
      cluster.advertise([old], [old]);
      const rotation = cluster.run('encryption', 'rotate-key', '--wait');
      await until(() => good().epoch !== old);
      const epoch = good().epoch;
      cluster.advertise([old, epoch], [old, epoch], ['kind-control-plane', 'kind-worker']);
      const looks = () => cluster.server.requests.filter(line => line.includes('/ciliumnodes')).length;
      const before = looks();
      await until(() => looks() > before + 1);
      cluster.advertise([epoch], [epoch]);
      const { code, out, err } = await rotation;
      assert.equal(code, 0, err);
      assert.match(
        out,
        /^IPsec key successfully rotated, new key SPI: 4\nEvery node seals with key 4, and what was before is gone \(3 nodes, \d+\.\d s\)\n$/,
      );
      assert.match(
        err,
        /^⌛ key 4: 2\/3 nodes open it, 0\/3 seal with it alone, 0\/3 have given up what was before; waiting for kind-worker2$/m,
      );
    });

    it('--wait ends at its timeout with who is behind, and when the key is replaced', async () => {
      cluster.writeKeys(KEY_LINE);
      await install();
      cluster.advertise([good().epoch], [good().epoch]);
      const late = await cluster.run('encryption', 'rotate-key', '--wait', '--timeout', '0.3s');
      assert.equal(late.code, 1);
      assert.match(
        late.err,
        /after \d\.\d s the rotation is not done \(key 4: 0\/3 .*; waiting for kind-control-plane, kind-worker, kind-worker2\): it goes on by itself/,
      );
      const forced = cluster.run('encryption', 'rotate-key', '--force', '--wait');
      await until(() => good().current.id === 5);
      cluster.writeKeys(KEY_LINE.replace('3+', '6+'));
      assert.match((await forced).err, /has key 5 no longer, somebody changed it/);
      const wrong = await cluster.run('encryption', 'rotate-key', '--wait', '--timeout', 'soon');
      assert.equal(wrong.code, 2);
      assert.match(wrong.err, /--timeout "soon" is no duration/);
    });

    it('says what else it takes when agents do not watch the key', async () => {
      cluster.writeKeys(KEY_LINE);
      await install();
      await cluster.run('upgrade', '--set', 'encryption.ipsec.keyWatcher=false');
      const { code, err } = await cluster.run('encryption', 'rotate-key', '--force');
      assert.equal(code, 0);
      assert.match(
        err,
        /Agents take it when they start next .*: kubectl -n kube-system rollout restart ds\/cilium\n/,
      );
    });

    it('has nothing to wait for without IPsec', async () => {
      cluster.writeKeys(KEY_LINE);
      const { code, err } = await cluster.run('encryption', 'rotate-key', '--wait');
      assert.equal(code, 0);
      assert.match(err, /does not encrypt with IPsec: there is nothing to wait for/);
    });
  });

  describe('key-status', () => {
    it('shows all but the key, and the key when told to', async () => {
      cluster.writeKeys(KEY_LINE);
      const { out, err } = await cluster.run('encryption', 'key-status');
      assert.equal(err, '');
      assert.match(
        out,
        /^IPsec key ID: 3\nAlgorithm: rfc4106\(gcm\(aes\)\), 128-bit key, 128-bit tag\nAge: \ds \(since .*Z\)\nFingerprint: [0-9a-f]{16}\n$/,
      );
      const shown = await cluster.run('encrypt', 'ks', '--show-key');
      assert.ok(shown.out.endsWith(`\nIPsec key: ${KEY_LINE}\n`), shown.out);
    });

    it('as JSON and YAML', async () => {
      await cluster.run('encryption', 'create-key', '--auth-algo', 'cbc-aes-sha256');
      const json = JSON.parse((await cluster.run('encryption', 'key-status', '-o', 'json')).out) as Record<
        string,
        unknown
      >;
      const { created, ageSeconds, ...rest } = json;
      assert.deepEqual(rest, {
        apiVersion: 'pellicle.io/v1',
        kind: 'IPsecKeyStatus',
        id: 1,
        algorithm: 'cbc(aes)',
        integrity: 'hmac(sha256)',
        keyBits: 128,
        tagBits: 128,
        fingerprint: good().current.fingerprint,
        warnings: [],
      });
      assert.match(String(created), /^\d{4}-\d\d-\d\dT/);
      assert.ok(Number(ageSeconds) < 60);
      const yaml = parse(
        (await cluster.run('encryption', 'key-status', '-o', 'yaml', '--show-key')).out,
      ) as object;
      assert.deepEqual(yaml, {
        ...json,
        ageSeconds: (yaml as { ageSeconds: number }).ageSeconds,
        'ipsec-key': good().current.secretLine(),
      });
    });

    it('warns of a key that warrants it, and tells of one that is missing or bad', async () => {
      assert.match((await cluster.run('encryption', 'key-status')).err, /there is no Secret/);
      cluster.writeKeys(KEY_LINE.replace('3+', '3'));
      assert.match(
        (await cluster.run('encryption', 'key-status')).err,
        /^⚠️ {2}line 1: key 3 is written without "\+"/,
      );
      cluster.server.put<Secret>(PATHS.secrets, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'cilium-ipsec-keys', namespace: 'kube-system' },
        data: { key: '' },
      });
      assert.match(
        (await cluster.run('encryption', 'key-status')).err,
        /there is no "keys" in its data \(it has key\)/,
      );
    });
  });

  it('cilium status: how many nodes seal, with which key, and what is wrong with it', async () => {
    cluster.writeKeys(KEY_LINE);
    await install();
    assert.match((await cluster.run('status')).out, /3 of 3 nodes cannot open and seal yet/);
    const { epoch } = good();
    cluster.advertise([epoch], [epoch]);
    const sound = await cluster.run('status', '--wait', '--wait-duration', '5s');
    assert.equal(sound.code, 0, sound.err);
    assert.match(sound.out, /^Encryption: +IPsec \(3\/3 nodes\), key 3$/m);
    cluster.advertise([epoch, KEY_3], [KEY_3], ['kind-worker']);
    assert.match(
      (await cluster.run('status')).out,
      /IPsec \(3\/3 nodes\), key 3 \(2\/3 nodes seal with it\)$/m,
    );
    cluster.advertise(['none', epoch], ['none'], ['kind-worker']);
    assert.match((await cluster.run('status')).out, /1 of 3 nodes cannot open and seal yet$/m);
    cluster.writeKeys('garbage');
    assert.match(
      (await cluster.run('status')).out,
      /cilium +cilium-ipsec-keys +the Secret .* has no key that can be used: line 1/,
    );
    cluster.server.remove(PATHS.secrets, 'cilium-ipsec-keys', 'kube-system');
    assert.match((await cluster.run('status')).out, /cilium +cilium-ipsec-keys +there is no Secret/);
  });

  it('help has examples', async () => {
    for (const command of ['status', 'create-key', 'rotate-key', 'key-status']) {
      const { code, out } = await cluster.run('encryption', command, '--help');
      assert.equal(code, 0);
      assert.match(out, new RegExp(`Examples:\n {2}cilium encryption ${command}`));
    }
  });
});

describe('ages', () => {
  it('as kubectl writes them', () => {
    const second = 1000;
    const day = 86_400 * second;
    for (const [age, text] of [
      [-5, '0s'],
      [45 * second, '45s'],
      [119 * second, '119s'],
      [200 * second, '3m20s'],
      [180 * second, '3m'],
      [3600 * second, '60m'],
      [6.5 * 3600 * second, '6h30m'],
      [47 * 3600 * second, '47h'],
      [3.25 * day, '3d6h'],
      [90 * day, '90d'],
      [800 * day, '2y70d'],
    ] as const)
      assert.equal(ageText(age), text);
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`never became true: ${condition}`);
    await sleep(2);
  }
}
