/** What goes through a tunnel while it is measured. */
import { runIn } from './command.ts';
import type { Tunnelled } from './ground.ts';
import { median } from './statistics.ts';

const RIGHT = '10.9.0.2';
const IPV4_AND_UDP_HEADERS = 28;

export interface TcpResult {
  gigabitsPerSecond: number;
  /** Of both ends' programs, for a gigabyte (10^9 bytes) of payload. */
  cpuSecondsPerGigabyte: number;
}

export interface UdpResult {
  /** Of both ends' programs, for a packet that came out of the tunnel. */
  cpuMicrosecondsPerPacket: number;
  /** Between the sender and the other end of the tunnel: 0 to 1. */
  loss: number;
}

export async function measureTcp(
  bed: Tunnelled,
  options: { streams: number; reverse: boolean; seconds: number },
): Promise<TcpResult> {
  const { streams, reverse, seconds } = options;
  const before = bed.cpuSeconds();
  const { sum_received: sum } = await iperf<{ sum_received: { bytes: number; bits_per_second: number } }>(
    bed,
    ['-P', String(streams), '-t', String(seconds), ...(reverse ? ['-R'] : [])],
    seconds,
  );
  const cpu = bed.cpuSeconds() - before;
  return {
    gigabitsPerSecond: sum.bits_per_second / 1e9,
    cpuSecondsPerGigabyte: cpu / (sum.bytes / 1e9),
  };
}

/** Gbit/s of one stream each way at once, added up. */
export async function measureTcpBothWays(bed: Tunnelled, seconds: number): Promise<number> {
  type Sum = { bits_per_second: number };
  const end = await iperf<{ sum_received: Sum; sum_received_bidir_reverse: Sum }>(
    bed,
    ['--bidir', '-t', String(seconds)],
    seconds,
  );
  return (end.sum_received.bits_per_second + end.sum_received_bidir_reverse.bits_per_second) / 1e9;
}

/** `bytes` is the size of the packet inside the tunnel, its IP header included. */
export async function measureUdp(
  bed: Tunnelled,
  options: { bytes: number; packetsPerSecond: number; seconds: number },
): Promise<UdpResult> {
  const payload = options.bytes - IPV4_AND_UDP_HEADERS;
  const rate = payload * 8 * options.packetsPerSecond;
  const arrivedBefore = await arrivedPayload(bed);
  const cpuBefore = bed.cpuSeconds();
  const { sum } = await iperf<{ sum: { packets: number } }>(
    bed,
    ['-u', '-b', String(rate), '-l', String(payload), '-t', String(options.seconds)],
    options.seconds,
  );
  const cpu = bed.cpuSeconds() - cpuBefore;
  const arrived = ((await arrivedPayload(bed)) - arrivedBefore) / payload;
  return { cpuMicrosecondsPerPacket: (cpu * 1e6) / arrived, loss: Math.max(0, 1 - arrived / sum.packets) };
}

/**
 * UDP payload that came out of the tunnel on the right, in bytes, whether packet by packet or merged behind one header. What
 * iperf3 counts is less: its socket overflows where it does not get the processor in time.
 */
async function arrivedPayload({ right }: Tunnelled): Promise<number> {
  const folder = `/sys/class/net/${right.device}/statistics`;
  const output = await runIn(right.netns, 'cat', [`${folder}/rx_bytes`, `${folder}/rx_packets`]);
  const [bytes = 0, packets = 0] = output.trim().split('\n').map(Number);
  return bytes - packets * IPV4_AND_UDP_HEADERS;
}

/** Median round trip in microseconds. */
export async function measurePing(bed: Tunnelled, count: number, intervalSeconds: number): Promise<number> {
  const args = ['-n', '-c', String(count), '-i', String(intervalSeconds), RIGHT];
  const output = await runIn(bed.left.netns, 'ping', args, { seconds: 15 });
  return median([...output.matchAll(/ time=([\d.]+) ms/g)].map(([, time]) => Number(time) * 1000));
}

/** The same while one TCP stream fills the tunnel. */
export async function measurePingUnderLoad(bed: Tunnelled, seconds: number): Promise<number> {
  const load = measureTcp(bed, { streams: 1, reverse: false, seconds });
  const count = Math.floor((seconds * 1000) / 2 / 5);
  const [trip] = await Promise.all([measurePing(bed, count, 0.005), load]);
  return trip;
}

/** The `end` object of iperf3's report. Once more with a fresh server when the first try fails. */
async function iperf<T>(bed: Tunnelled, args: string[], seconds: number): Promise<T> {
  const run = async () => {
    const output = await runIn(bed.left.netns, 'iperf3', ['-J', '-c', RIGHT, ...args], {
      seconds: seconds + 10,
    });
    return (JSON.parse(output) as { end: T }).end;
  };
  try {
    return await run();
  } catch {
    await bed.serve();
    return run();
  }
}
