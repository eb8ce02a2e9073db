/** Whether the kernel takes an ESP state and a block policy (linux/xfrm.h). */
import { Writer } from './netlink/attributes.ts';
import { AF_INET } from './netlink/ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from './netlink/message.ts';
import { NETLINK_XFRM, NetlinkSocket } from './netlink/socket.ts';

/** Rejects with NetlinkError when the kernel lacks ESP or AES-GCM. The state stays in the scratch namespace. */
export async function tryEspState(netns: string): Promise<void> {
  const body = selector(new Writer());
  body.bytes(NO_ADDRESS).u32(0x01000000).u8(IPPROTO_ESP).u8(0).u16(0); // struct xfrm_id, SPI 1
  body.bytes(NO_ADDRESS);
  lifetime(body).bytes(new Uint8Array(12)); // struct xfrm_stats
  body.u32(0).u32(0).u16(AF_INET).u8(XFRM_MODE_TUNNEL).u8(0).bytes(new Uint8Array(8));
  body.attribute(XFRMA_ALG_AEAD, algorithm => {
    algorithm.bytes(Buffer.from(ALGORITHM.padEnd(64, '\0')));
    algorithm
      .u32(KEY_BYTES * 8)
      .u32(128)
      .bytes(new Uint8Array(KEY_BYTES));
  });
  await send(netns, 'make an ESP state', XFRM_MSG_NEWSA, body);
}

/** Rejects with NetlinkError when the kernel has no XFRM policies. */
export async function tryBlockPolicy(netns: string): Promise<void> {
  const body = lifetime(selector(new Writer()));
  body.u32(0).u32(0).u8(XFRM_POLICY_OUT).u8(XFRM_POLICY_BLOCK).u8(0).u8(0).u32(0);
  await send(netns, 'make a block policy', XFRM_MSG_NEWPOLICY, body);
}

const XFRM_MSG_NEWSA = 0x10;
const XFRM_MSG_NEWPOLICY = 0x13;
const XFRMA_ALG_AEAD = 18;
const XFRM_MODE_TUNNEL = 1;
const XFRM_POLICY_OUT = 1;
const XFRM_POLICY_BLOCK = 1;
const IPPROTO_ESP = 50;
const ALGORITHM = 'rfc4106(gcm(aes))';
const KEY_BYTES = 20;
const NO_ADDRESS = new Uint8Array(16);

/** struct xfrm_selector of any IPv4 packet */
function selector(writer: Writer): Writer {
  return writer.bytes(new Uint8Array(40)).u16(AF_INET).bytes(new Uint8Array(14));
}

/** struct xfrm_lifetime_cfg without limits, then struct xfrm_lifetime_cur */
function lifetime(writer: Writer): Writer {
  return writer.bytes(new Uint8Array(32).fill(0xff)).bytes(new Uint8Array(32 + 32));
}

async function send(netns: string, what: string, type: number, body: Writer): Promise<void> {
  const socket = NetlinkSocket.open(NETLINK_XFRM, netns);
  try {
    await socket.request(what, type, NLM_F_CREATE | NLM_F_EXCL, body.finish());
  } finally {
    socket.close();
  }
}
