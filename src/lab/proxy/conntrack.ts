/**
 * UDP has no end that the kernel sees: a flow that once went to a pod goes on to its address when the pod is gone. Such
 * flows are taken out of the connection table (linux/netfilter/nfnetlink_conntrack.h), so that the next datagram
 * chooses anew.
 */
import { Attributes, Writer } from '../../linux/netlink/attributes.ts';
import { NetlinkSocket } from '../../linux/netlink/socket.ts';
import { addressOf, canonicalAddress, formatAddress } from '../../proto/ip/address.ts';
import type { Family, Target } from './targets.ts';

const NETLINK_NETFILTER = 12;
/** nfgenmsg and attributes as the kernel numbers them. */
const GET = (1 << 8) | 1;
const DELETE = (1 << 8) | 2;
const CTA = { original: 1, reply: 2, id: 12 } as const;
const TUPLE = { addresses: 1, protocol: 2 } as const;
const ADDRESSES = { sourceV4: 1, targetV4: 2, sourceV6: 3, targetV6: 4 } as const;
const PROTOCOL = { number: 1, sourcePort: 2, targetPort: 3 } as const;
const UDP = 17;
const FAMILIES: Record<Family, number> = { 4: 2, 6: 10 };

export interface Flow {
  /** Where the client sent to, and who answers it. */
  asked: { address: string; port: number };
  answers: { address: string; port: number };
}

/** Of flows to a Service's address over UDP, whether the one that answers is none of its endpoints. */
export function isStale(flow: Flow, targets: readonly Target[]): boolean {
  const target = targets.find(
    each =>
      each.protocol === 'udp' &&
      each.port === flow.asked.port &&
      each.addresses.some(address => canonicalAddress(address) === flow.asked.address),
  );
  return (
    target !== undefined &&
    !target.endpoints.some(
      ({ address, port }) => canonicalAddress(address) === flow.answers.address && port === flow.answers.port,
    )
  );
}

/** Ends the stale flows of this network namespace, or of that at the path `netns`; answers how many. */
export async function endStaleFlows(targets: readonly Target[], netns?: string): Promise<number> {
  if (!targets.some(target => target.protocol === 'udp')) return 0;
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, netns);
  try {
    return await endStale(socket, targets);
  } finally {
    socket.close();
  }
}

async function endStale(socket: NetlinkSocket, targets: readonly Target[]): Promise<number> {
  let ended = 0;
  for (const family of [4, 6] as const) {
    const head = () => new Writer().u8(FAMILIES[family]).u8(0).u16(0);
    for (const { body } of await socket.dump('list the connections', GET, head().finish())) {
      const attributes = new Attributes(body.subarray(4));
      const flow = flowOf(attributes);
      const [original, id] = [attributes.bytes(CTA.original), attributes.bytes(CTA.id)];
      if (flow === undefined || !original || !id || !isStale(flow, targets)) continue;
      const request = head()
        .nested(CTA.original, writer => writer.bytes(original))
        .attributeBytes(CTA.id, id);
      if (await wasThere(socket.request('end a connection', DELETE, 0, request.finish()))) ended++;
    }
  }
  return ended;
}

function flowOf(attributes: Attributes): Flow | undefined {
  const original = tupleOf(attributes.bytes(CTA.original));
  const reply = tupleOf(attributes.bytes(CTA.reply));
  return original && reply && { asked: original.to, answers: reply.from };
}

interface Tuple {
  from: Flow['asked'];
  to: Flow['asked'];
}

/** Undefined for what is not UDP. */
function tupleOf(bytes: Uint8Array | undefined): Tuple | undefined {
  if (bytes === undefined) return undefined;
  const tuple = new Attributes(bytes);
  const addresses = new Attributes(tuple.bytes(TUPLE.addresses) ?? new Uint8Array());
  const protocol = new Attributes(tuple.bytes(TUPLE.protocol) ?? new Uint8Array());
  const from = addresses.bytes(ADDRESSES.sourceV4) ?? addresses.bytes(ADDRESSES.sourceV6);
  const to = addresses.bytes(ADDRESSES.targetV4) ?? addresses.bytes(ADDRESSES.targetV6);
  const [sourcePort, targetPort] = [protocol.be16(PROTOCOL.sourcePort), protocol.be16(PROTOCOL.targetPort)];
  if (protocol.u8(PROTOCOL.number) !== UDP || !from || !to) return undefined;
  if (sourcePort === undefined || targetPort === undefined) return undefined;
  return { from: { address: text(from), port: sourcePort }, to: { address: text(to), port: targetPort } };
}

function text(bytes: Uint8Array): string {
  return formatAddress(addressOf(bytes));
}

/** A flow may end by itself between the listing and now. */
async function wasThere(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
