import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEY3, KEY4, type PairNode, startPair, type Ways, type Encryption } from './pair.ts';
let a: PairNode; let b: PairNode;
before(async () => { [a, b] = await startPair(); });
after(() => { a?.stop(); b?.stop(); });
test('x', async () => {
  for (let round = 0; round < 12; round++) {
    await a.apply(b, 'disabled', { clear: true, seals: 'none' }); await b.apply(a, 'disabled', { clear: true, seals: 'none' });
    await sleep(100);
    const script = `exec ping -D -n -i 0.005 ${b.podAddresses[0]} > /run/ping.txt`;
    const ping = a.holder.spawn('ip', ['netns', 'exec', 'pod', 'sh', '-c', script], 'ignore');
    const dumps = [a, b].map(n => n.holder.spawn('sh', ['-c', `exec tcpdump -B 20000 -ttnl -i any icmp or proto 50 or udp port 8472 > /run/dump.txt 2>/dev/null`], 'ignore'));
    await sleep(300);
    const log: unknown[] = [];
    const moves: [Encryption, Ways][] = [
    ['ipsec', { clear: true, opens: [KEY3], seals: 'none' }],
    ['ipsec', { clear: true, opens: [KEY3], seals: KEY3 }],
    ['ipsec', { opens: [KEY3], seals: KEY3 }],
    ['ipsec', { opens: [KEY3, KEY4], seals: KEY3 }],
    ['ipsec', { opens: [KEY3, KEY4], seals: KEY4 }],
    ['ipsec', { opens: [KEY4], seals: KEY4 }],
    ];
    for (const [e, w] of moves) for (const [n, p] of [[b, a], [a, b]] as const) { const t0 = Date.now() / 1000; await n.apply(p, e, w); log.push([n.name, e, JSON.stringify(w), t0, Date.now() / 1000].join(' ')); await sleep(60); }
    await sleep(100);
    ping.kill('SIGINT'); await sleep(100);
    dumps.forEach(d => d.kill('SIGINT')); await sleep(300);
    const said = readFileSync(`${a.runDir}/ping.txt`, 'utf8');
    const s = [...said.matchAll(/\[([0-9.]+)\].*icmp_seq=(\d+) ttl/g)].map(m => [Number(m[2]), m[1]] as const);
    for (let i = 1; i < s.length; i++) if (s[i]![0] !== s[i - 1]![0] + 1) {
      console.log('GAP', s[i - 1], s[i]);
      console.log(log.join('\n'));
      for (const n of [a, b]) { console.log(n.name); console.log(readFileSync(`${n.runDir}/dump.txt`, 'utf8').split('\n').filter(l => l > String(Number(s[i-1]![1]) - 0.01) && l < String(Number(s[i]![1]) + 0.01)).join('\n')); }
    }
    if (!said.includes('packets transmitted')) console.log('no end');
  }
});
