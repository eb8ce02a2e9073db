/** Plans made real: what goes between pods, what is seen of it, and what is refused, by real kernels and a real engine. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { until } from '../agent/holder.ts';
import { type Encryption, KEY3, KEY4, type PairNode, startPair, type Ways } from './pair.ts';

let a: PairNode;
let b: PairNode;

before(async () => {
  [a, b] = await startPair();
});
after(() => {
  a?.stop();
  b?.stop();
});

const SEALED: Ways = { opens: [KEY3], seals: KEY3 };

test('IPsec opens before anything seals, also where the kernel asks for the way back', async () => {
  await both('ipsec', { opens: [KEY3] });
  assert.equal(await a.ping(b.podAddresses[0]!, 1), 0);
  for (const [node, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    await node.drivers.ipsec.probe(peer.name, KEY3, await peer.run());
    await until('the probe is heard', async () => {
      const { openings } = await peer.drivers.ipsec.observe();
      return openings[0]?.heardAt !== undefined;
    });
  }
});

test('pods talk through ESP on cilium_vxlan, and the wire shows nothing of it', async () => {
  await both('ipsec', SEALED);
  for (const address of b.podAddresses) {
    const marker = randomBytes(16);
    const seen = await captured(b, 'cilium_vxlan', () =>
      captured(b, 'eth0', async () => {
        assert.equal(await a.ping(address, 5, '-p', marker.toString('hex')), 5);
      }).then(wire => assert.equal(wire.includes(marker), false)),
    );
    assert.equal(seen.includes(marker), false);
    assert.ok(seen.includes(Buffer.from([0, 0, 0, 3, 0, 0, 0])), 'ESP with the key id as SPI');
  }
});

test('the longest packet of a pod fits, of both families', async () => {
  assert.equal(await a.ping(b.podAddresses[0]!, 2, '-M', 'do', '-s', String(1373 - 28)), 2);
  assert.equal(await a.ping(b.podAddresses[1]!, 2, '-M', 'do', '-s', String(1373 - 48)), 2);
});

test('the node itself speaks with pods of the other, by its CiliumInternalIP', async () => {
  const marker = randomBytes(16);
  const wire = await captured(b, 'eth0', async () => {
    const { stdout } = await a.sh(
      `ping -n -c 2 -i 0.1 -W 1 -p ${marker.toString('hex')} ${b.podAddresses[0]}`,
    );
    assert.match(stdout, / 2 received/);
  });
  assert.equal(wire.includes(marker), false);
});

test('what comes in the clear by vxlan is not delivered, and does not leave either', async () => {
  // Node a forgets that encryption is on; node b does not.
  await a.apply(b, 'disabled', { clear: true, seals: 'none' });
  const marker = randomBytes(16);
  const atPod = await captured(b, 'lxc1', async () => {
    assert.equal(await a.ping(b.podAddresses[0]!, 3, '-p', marker.toString('hex')), 0);
  });
  assert.equal(atPod.includes(marker), false);
  // Node a is sealed again, but somebody has changed its route.
  await a.apply(b, 'ipsec', SEALED);
  await a.sh('ip route replace 10.244.2.0/24 via 10.244.2.1 dev cilium_vxlan onlink table 2110');
  const wire = await captured(b, 'eth0', async () => {
    assert.equal(await a.ping(b.podAddresses[0]!, 3, '-p', marker.toString('hex')), 0);
  });
  assert.equal(wire.includes(marker), false);
  await a.apply(b, 'ipsec', SEALED);
  assert.equal(await a.ping(b.podAddresses[0]!, 2), 2);
});

test('a pod is taken for no node: it reaches no vxlan, neither here nor there', async () => {
  await both('disabled', { clear: true, seals: 'none' });
  assert.equal(await a.ping(b.podAddresses[0]!, 1), 1);
  const [ofPod, ofNode] = [randomBytes(12), randomBytes(12)];
  const sendAll = async (soFar: () => Buffer) => {
    for (const to of ['172.18.0.4', '10.244.2.1']) {
      await a.inPod(forgery(to, ofPod));
      await b.inPod(forgery(to, ofPod));
    }
    // From the node itself it does arrive: the forgery is a good one.
    await a.sh(forgery('172.18.0.4', ofNode));
    await until("a node's forgery arrives", async () => soFar().includes(ofNode));
  };
  const atPod = await captured(b, 'lxc1', sendAll, '-Q', 'out');
  assert.equal(atPod.includes(ofPod), false);
});

test('from off to IPsec, through a rotation to WireGuard, and back to off, no packet is lost', async () => {
  await both('disabled', { clear: true, seals: 'none' });
  await until('traffic flows', async () => (await a.ping(b.podAddresses[0]!, 1)) === 1);
  const script = `exec ping -n -i 0.01 ${b.podAddresses[0]} > /run/ping.txt`;
  const ping = a.holder.spawn('ip', ['netns', 'exec', 'pod', 'sh', '-c', script], 'ignore');
  const ended = new Promise(resolve => ping.once('exit', resolve));
  const moves: [Encryption, Ways][] = [
    ['ipsec', { clear: true, opens: [KEY3], seals: 'none' }],
    ['ipsec', { clear: true, opens: [KEY3], seals: KEY3 }],
    ['ipsec', { opens: [KEY3], seals: KEY3 }],
    ['ipsec', { opens: [KEY3, KEY4], seals: KEY3 }],
    ['ipsec', { opens: [KEY3, KEY4], seals: KEY4 }],
    ['ipsec', { opens: [KEY4], seals: KEY4 }],
    ['wireguard', { opens: [KEY4, 'wireguard'], seals: KEY4 }],
    ['wireguard', { opens: [KEY4, 'wireguard'], seals: 'wireguard' }],
    ['wireguard', { opens: ['wireguard'], seals: 'wireguard' }],
    ['disabled', { clear: true, opens: ['wireguard'], seals: 'wireguard' }],
    ['disabled', { clear: true, opens: ['wireguard'], seals: 'none' }],
    ['disabled', { clear: true, seals: 'none' }],
  ];
  for (const [encryption, ways] of moves) {
    for (const [node, peer] of [
      [b, a],
      [a, b],
    ] as const) {
      await node.apply(peer, encryption, ways);
      // The other is a step behind: traffic has to come through all the same.
      assert.equal(await a.ping(b.podAddresses[0]!, 5), 5, `${encryption} ${JSON.stringify(ways)}`);
    }
    assert.equal((await a.drivers.ground.observe()).clear, ways.clear ?? false);
  }
  ping.kill('SIGINT');
  await ended;
  // The last one may be on its way when ping ends.
  const said = readFileSync(`${a.runDir}/ping.txt`, 'utf8');
  const answered = [...said.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
  assert.ok(answered.length > 100, said.slice(-300));
  assert.deepEqual(
    answered.toSorted((one, other) => one - other),
    answered.map((_, i) => i + 1),
  );
});

test('guards are replaced under a flood, and what passes both passes in between', async () => {
  await both('ipsec', { ...SEALED, clear: true });
  const drops = async () => (await a.drivers.ipsec.observe()).drops;
  const before = await drops();
  const words = ['netns', 'exec', 'pod', 'ping', '-f', '-l', '20', '-n', b.podAddresses[0]!];
  const flood = a.holder.spawn('ip', words, 'ignore');
  const ended = new Promise(resolve => flood.once('exit', resolve));
  for (let i = 0; i < 20; i++) {
    for (const clear of [false, true])
      await a.drivers.ground.apply(a.plan(b, 'ipsec', { ...SEALED, clear }).ground);
  }
  flood.kill('SIGINT');
  await ended;
  assert.deepEqual(await drops(), before);
});

test('a second apply changes nothing, and what is there tells how it is sealed', async () => {
  await both('ipsec', SEALED);
  const made = await a.apply(b, 'ipsec', SEALED);
  assert.deepEqual(await a.drivers.ground.apply(made.ground), []);
  assert.deepEqual(await a.drivers.paths.apply(made.paths), []);
  const { pods } = await a.drivers.paths.observe();
  assert.deepEqual([...pods.entries()].sort(), [
    ['10.244.2.0/24', 'cilium_esp0'],
    ['fd00:10:244:2::/64', 'cilium_esp0'],
  ]);
});

test('a tunnel that is not needed loses its addresses, and goes when no engine holds it', async () => {
  await both('ipsec', SEALED);
  const tun = async (node: PairNode) => (await node.sh('ip -o addr show cilium_wg0 || true')).stdout;
  assert.equal(await tun(a), '');
  assert.match((await a.sh('ip -br link')).stdout, /cilium_wg0/, 'the engine holds it');
  const made = a.plan(b, 'ipsec', SEALED);
  const ground = { ...made.ground, absentLinks: ['pd-tun'] };
  await a.sh('ip tuntap add mode tun name pd-tun && ip link set pd-tun up');
  assert.deepEqual(await a.drivers.ground.apply(ground), ['device pd-tun removed']);
});

test('cleaned up, nothing of ours is left but what the engine holds', async () => {
  await a.drivers.paths.cleanUp();
  await a.drivers.ipsec.cleanUp();
  await a.drivers.ground.cleanUp();
  const { stdout: rules } = await a.sh('ip rule; ip -6 rule; nft list tables; ip route show table all');
  assert.doesNotMatch(rules, /pellicle|lookup 21|table 21|cilium_/);
  const { stdout: links } = await a.sh('ip -br link');
  assert.doesNotMatch(links, /cilium_/);
});

async function both(encryption: Encryption, ways: Ways): Promise<void> {
  await a.apply(b, encryption, ways);
  await b.apply(a, encryption, ways);
}

/** Everything that passes a device of the node while `during` runs, as raw bytes. */
async function captured(
  node: PairNode,
  device: string,
  during: (soFar: () => Buffer) => Promise<unknown>,
  ...more: string[]
): Promise<Buffer> {
  const file = `/run/${randomBytes(4).toString('hex')}.pcap`;
  const soFar = () => readFileSync(`/proc/${node.holder.pid}/root${file}`);
  const tcpdump = node.holder.spawn(
    'tcpdump',
    ['-i', device, '-w', file, '-U', '--immediate-mode', '-s', '0', ...more],
    'pipe',
  );
  await new Promise<void>((resolve, reject) => {
    tcpdump.stderr!.on('data', data => String(data).includes('listening on') && resolve());
    tcpdump.once('exit', code => reject(new Error(`tcpdump ended with ${code}`)));
  });
  const ended = new Promise(resolve => tcpdump.once('exit', resolve));
  try {
    await during(soFar);
  } finally {
    tcpdump.kill('SIGINT');
    await ended;
  }
  return soFar();
}

/** A script that sends, in vxlan, a UDP datagram from another pod's address to the pod of node 2. */
function forgery(to: string, payload: Buffer): string {
  const bytes = (text: string) => Buffer.from(text, 'hex');
  const udp = Buffer.concat([bytes('9999c000'), lengthOf(8 + payload.length), bytes('0000'), payload]);
  const ip = Buffer.concat([bytes('4500'), lengthOf(20 + udp.length), bytes('000000004011'), bytes('0000')]);
  const header = Buffer.concat([ip, bytes('0af40109'), bytes('0af40209')]);
  header.writeUInt16BE(checksum(header), 10);
  const ethernet = bytes('0a580af402010a580af401010800');
  const packet = Buffer.concat([bytes('0800000000000200'), ethernet, header, udp]);
  const octal = [...packet].map(byte => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
  return `printf '%b' '${octal}' | timeout 2 socat -u - UDP4-SENDTO:${to}:8472`;
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(length);
  return bytes;
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
