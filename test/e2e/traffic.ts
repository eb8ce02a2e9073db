/** Traffic between two pods of a test's cluster, and what the wire between the nodes sees of it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type Cluster, eventually } from './cluster.ts';

/** Sends a fresh marker from the pod `left` to the pod `right` at this address over UDP; returns it when it has arrived. */
export async function say(cluster: Cluster, address: string): Promise<string> {
  const text = `marker-${randomBytes(16).toString('hex')}`;
  const listen = cluster.spawn(
    'kubectl',
    'exec',
    'right',
    '--',
    'timeout',
    '10',
    'sh',
    '-c',
    `nc ${address.includes(':') ? '-6 ' : ''}-u -l -p 7777 -w 3 | head -c 39`,
  );
  let heard = '';
  listen.stdout?.on('data', chunk => {
    heard += chunk;
  });
  const closed = once(listen, 'close');
  await cluster.kubectl(
    'exec',
    'left',
    '--',
    'bash',
    '-c',
    `for i in 1 2 3 4 5 6 7 8; do echo -n ${text} > /dev/udp/${address}/7777; sleep 0.2; done`,
  );
  await closed;
  assert.ok(heard.startsWith(text), `sent ${text}, heard '${heard}'`);
  return text;
}

/** Pings from the pod `left`, 20 times a second, until it is stopped. */
export async function startPing(cluster: Cluster, address: string) {
  const child = cluster.spawn('kubectl', 'exec', 'left', '--', 'ping', '-D', '-i', '0.05', address);
  let output = '';
  let complaint = '';
  child.stdout?.on('data', chunk => {
    output += chunk;
  });
  child.stderr?.on('data', chunk => {
    complaint += chunk;
  });
  const closed = once(child, 'close');
  const condition = () => (child.exitCode === null ? 'ping runs' : `ping ended with ${child.exitCode}`);
  const answers = () => [...output.matchAll(/^\[([\d.]+)\] 64 bytes/gm)].map(([, time]) => Number(time));
  const beyond = (more: number) => {
    const wanted = answers().length + more;
    return eventually(`${more} more pings answered`, async () => {
      if (answers().length >= wanted) return true;
      throw new Error(`${condition()}, and said last: ${output.slice(-200)}${complaint}`);
    });
  };
  await beyond(3);
  return {
    /** Waits for so many more answers. */
    beyond,
    /**
     * How many were sent up to the last that was answered (one may be on its way when ping ends), how many of them were
     * answered, and the longest time without an answer, in seconds.
     */
    async stop(): Promise<{ sent: number; received: number; longestGap: number }> {
      assert.equal(child.exitCode, null, `${condition()}, and said last: ${output.slice(-200)}${complaint}`);
      await cluster.kubectl('exec', 'left', '--', 'pkill', '-INT', 'ping');
      await closed;
      const answered = new Set(
        [...output.matchAll(/ icmp_seq=(\d+) .*time=/g)].map(([, seq]) => Number(seq)),
      );
      const times = answers();
      const longestGap = Math.max(...times.slice(1).map((time, index) => time - times[index]!));
      return { sent: Math.max(...answered), received: answered.size, longestGap };
    },
  };
}

/** Captures all that crosses the bridge between the nodes, into a file. */
export async function watchUnderlay(cluster: Cluster, file: string) {
  const { network } = JSON.parse(
    await cluster.must('pellicle', 'lab', 'status', '--name', cluster.name, '-o', 'json'),
  );
  const tcpdump = cluster.spawn(
    'nsenter',
    '-t',
    String(network.pid),
    '-n',
    'tcpdump',
    '-i',
    network.bridge,
    '-U',
    '--immediate-mode',
    '-w',
    file,
  );
  let log = '';
  tcpdump.stderr?.on('data', chunk => {
    log += chunk;
  });
  await eventually('tcpdump listening', async () => log.includes('listening'));
  return {
    async stop(): Promise<Buffer> {
      tcpdump.kill('SIGINT');
      await once(tcpdump, 'close');
      return readFileSync(file);
    },
    /** Frames that match a filter. */
    async count(filter: string): Promise<number> {
      const lines = await cluster.must('tcpdump', '-n', '-r', file, filter);
      return lines === '' ? 0 : lines.split('\n').length;
    },
  };
}
