/** What every IPsec driver must do. Run by the memory twin and by each real one. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Epoch } from '../model/epochs/epoch.ts';
import { sealingLimits } from '../proto/esp/limits.ts';
import { aeadSuite, cbcSuite, type SaKeys, type Suite } from '../proto/esp/suite.ts';
import type { IpsecDesired, IpsecDesiredPeer, IpsecDriver, IpsecOpening } from './driver.ts';

const GCM = aeadSuite('rfc4106(gcm(aes))', 20, 128);
const CBC = cbcSuite('hmac(sha256)', 32, 16);
const [KEY3, KEY4]: Epoch[] = ['ipsec/3/9c1185a5c5e9fc54', 'ipsec/4/1b4f0e9851971998'];
const RUN_1 = '11111111-2222-3333-4444-555555555551';
const RUN_2 = '11111111-2222-3333-4444-555555555552';

/** `make` answers a driver of an engine that is there and has nothing in it. */
export function ipsecContract(name: string, make: () => Promise<IpsecDriver>): void {
  test(`${name}: applies a whole state and tells it back`, async () => {
    const driver = await make();
    const desired = await state(driver, [
      peer(1, [opening(1, KEY3!, GCM), opening(1, KEY4!, CBC)], KEY3),
      peer(2, [opening(2, KEY4!, CBC)]),
    ]);
    assert.notDeepEqual(await driver.apply(desired), []);
    const observed = await driver.observe();
    assert.deepEqual(openingsOf(observed), [
      `n1 ${RUN_1} ${KEY3}`,
      `n1 ${RUN_1} ${KEY4}`,
      `n2 ${RUN_1} ${KEY4}`,
    ]);
    assert.deepEqual(observed.seals, [{ peer: 'n1', incarnation: RUN_1, epoch: KEY3 }]);
    assert.deepEqual(
      observed.openings.map(({ heardAt, in: back, out }) => [heardAt, back.packets, out.sequence, out.due]),
      observed.openings.map(() => [undefined, 0n, 0n, false]),
    );
    const back = observed.states.filter(({ direction, owner }) => direction === 'in' && owner?.peer === 'n2');
    assert.deepEqual(
      back.map(({ source, destination, spi, selectors }) => [source, destination, spi, selectors]),
      [['10.9.2.1', '10.9.0.1', 4, ['10.9.2.0/24']]],
    );
  });

  test(`${name}: a second apply of the same state changes nothing`, async () => {
    const driver = await make();
    const desired = await state(driver, [peer(1, [opening(1, KEY3!, GCM), opening(1, KEY4!, CBC)], KEY4)]);
    await driver.apply(desired);
    const before = await driver.observe();
    assert.deepEqual(await driver.apply(structuredClone(desired)), []);
    assert.deepEqual(await driver.observe(), before);
  });

  test(`${name}: a rotation moves the traffic, then retires the old key, and touches no other peer`, async () => {
    const driver = await make();
    const both = [opening(1, KEY3!, GCM), opening(1, KEY4!, GCM)];
    const other = peer(2, [opening(2, KEY3!, GCM)], KEY3);
    const base = await state(driver, [other, peer(1, both, KEY3)]);
    await driver.apply(base);
    assert.deepEqual(await driver.apply({ ...base, peers: [other, peer(1, both, KEY4)] }), [
      'peer n1 sealed with ipsec/4',
    ]);
    assert.deepEqual(await driver.apply({ ...base, peers: [other, peer(1, [both[1]!], KEY4)] }), [
      'peer n1 closed under ipsec/3',
    ]);
    const { seals } = await driver.observe();
    assert.deepEqual(seals.map(({ peer, epoch }) => `${peer} ${epoch}`).sort(), [`n1 ${KEY4}`, `n2 ${KEY3}`]);
  });

  test(`${name}: states whose keys are not known are kept, and not made`, async () => {
    const driver = await make();
    const base = await state(driver, [peer(1, [opening(1, KEY3!, GCM)], KEY3)]);
    await driver.apply(base);
    const unknown = [KEY3!, KEY4!].map(epoch => ({ incarnation: RUN_1, epoch }));
    assert.deepEqual(await driver.apply({ ...base, peers: [peer(1, unknown, KEY3)] }), []);
    const observed = await driver.observe();
    assert.deepEqual(openingsOf(observed), [`n1 ${RUN_1} ${KEY3}`]);
    assert.equal(observed.seals.length, 1);
    await driver.apply({ ...base, peers: [peer(1, unknown, KEY4)] });
    assert.deepEqual((await driver.observe()).seals, [], 'what is not open seals nothing');
  });

  test(`${name}: a peer that was rebooted is opened for its new run, under the same key id`, async () => {
    const driver = await make();
    const old = opening(1, KEY3!, GCM);
    const base = await state(driver, [peer(1, [old], KEY3)]);
    await driver.apply(base);
    const fresh = opening(1, KEY3!, GCM, RUN_2);
    await driver.apply({ ...base, peers: [peer(1, [old, fresh], KEY3)] });
    assert.deepEqual(openingsOf(await driver.observe()), [`n1 ${RUN_2} ${KEY3}`]);
    assert.deepEqual(
      (await driver.observe()).seals,
      [],
      'the traffic of the old run is not that of the new one',
    );
    const sealing = { ...peer(1, [fresh]), seals: { incarnation: RUN_2, epoch: KEY3! } };
    await driver.apply({ ...base, peers: [sealing] });
    assert.deepEqual((await driver.observe()).seals, [{ peer: 'n1', incarnation: RUN_2, epoch: KEY3 }]);
  });

  test(`${name}: pod CIDRs of a peer that change are followed, both ways`, async () => {
    const driver = await make();
    const one = peer(1, [opening(1, KEY3!, GCM)], KEY3);
    const base = await state(driver, [one]);
    await driver.apply(base);
    const moved = { ...one, cidrs: ['10.9.1.0/24', 'fd09:1::/64'] };
    assert.deepEqual(await driver.apply({ ...base, peers: [moved], local: ['10.9.0.0/24', 'fd09::/64'] }), [
      'peer n1 changed under ipsec/3',
      'peer n1 sealed with ipsec/3',
      'delivers to 10.9.0.0/24, fd09::/64',
    ]);
    const { states } = await driver.observe();
    assert.deepEqual(states.find(({ direction }) => direction === 'in')?.selectors, moved.cidrs);
    assert.notDeepEqual(await driver.apply(base), []);
    assert.deepEqual(await driver.apply(base), []);
  });

  test(`${name}: a peer that is gone leaves nothing`, async () => {
    const driver = await make();
    const base = await state(driver, [peer(1, [opening(1, KEY3!, GCM)], KEY3)]);
    await driver.apply(base);
    await driver.apply({ ...base, peers: [] });
    const { states, seals } = await driver.observe();
    assert.deepEqual([states, seals], [[], []]);
  });

  test(`${name}: keys that were derived for another run are refused, and nothing is changed`, async () => {
    const driver = await make();
    const base = await state(driver, [peer(1, [opening(1, KEY3!, GCM)], KEY3)]);
    await assert.rejects(driver.apply({ ...base, run: RUN_2 }), /started anew/);
    assert.deepEqual((await driver.observe()).states, []);
  });

  test(`${name}: a probe takes a sequence number of its epoch, and needs one that is open`, async () => {
    const driver = await make();
    const both = [opening(1, KEY3!, GCM), opening(1, KEY4!, GCM)];
    await driver.apply(await state(driver, [peer(1, both, KEY3)]));
    const sequences = async () =>
      new Map((await driver.observe()).openings.map(({ epoch, out }) => [epoch, out.sequence]));
    const before = await sequences();
    await driver.probe('n1', KEY4!, RUN_1);
    const deadline = Date.now() + 5000;
    while ((await sequences()).get(KEY4!) === before.get(KEY4!)) {
      assert.ok(Date.now() < deadline, 'nothing was sent');
      await sleep(5);
    }
    const after = await sequences();
    assert.equal(after.get(KEY4!), before.get(KEY4!)! + 1n);
    assert.equal(after.get(KEY3!), before.get(KEY3!));
    await assert.rejects(driver.probe('n1', KEY4!, RUN_2), /n1 cannot be probed.*ipsec\/4/);
    await assert.rejects(driver.probe('n7', KEY4!, RUN_1), /n7 cannot be probed/);
  });

  test(`${name}: cleanUp leaves nothing`, async () => {
    const driver = await make();
    await driver.apply(await state(driver, [peer(1, [opening(1, KEY3!, GCM)], KEY3)]));
    await driver.cleanUp();
    const { states, seals } = await driver.observe();
    assert.deepEqual([states, seals], [[], []]);
  });
}

async function state(driver: IpsecDriver, peers: IpsecDesiredPeer[]): Promise<IpsecDesired> {
  const { run } = await driver.observe();
  return { device: 'pg-esp0', run, local: ['10.9.0.0/24'], peers };
}

function peer(host: number, openings: IpsecOpening[], seals?: Epoch): IpsecDesiredPeer {
  return {
    name: `n${host}`,
    tunnel: { local: '10.9.0.1', remote: `10.9.${host}.1` },
    cidrs: [`10.9.${host}.0/24`],
    openings,
    ...(seals === undefined ? {} : { seals: { incarnation: RUN_1, epoch: seals } }),
  };
}

/** Keys as if derived: others for each peer, run, epoch and direction. */
function opening(host: number, epoch: Epoch, suite: Suite, incarnation = RUN_1): IpsecOpening {
  const key = (direction: string): SaKeys => {
    const bytes = createHash('sha512').update(`${host} ${epoch} ${incarnation} ${direction}`).digest();
    const cipher = bytes.subarray(0, suite.keyLength + suite.saltLength);
    if (suite.integrity === undefined) return { cipher };
    return { cipher, integrity: bytes.subarray(64 - suite.integrityKeyLength) };
  };
  const keys = { suite, out: key('out'), in: key('in'), limits: sealingLimits(suite, true) };
  return { incarnation, epoch, keys };
}

function openingsOf({ openings }: { openings: { peer: string; incarnation: string; epoch: Epoch }[] }) {
  return openings.map(({ peer, incarnation, epoch }) => `${peer} ${incarnation} ${epoch}`).sort();
}
