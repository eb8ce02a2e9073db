/**
 * Why a packet was dropped, in the words in which the kernel counts (Documentation/networking/xfrm_proc.rst) and
 * `cilium_ipsec_xfrm_error` reports: `XfrmInNoStates` is inbound `no_state`.
 */

export const INBOUND_DROPS = {
  /** Shorter than an ESP packet of its SA can be. */
  header: 'XfrmInHdrError',
  /** No SA for the SPI and the two addresses: the wrong SPI, one retired or not there yet. */
  no_state: 'XfrmInNoStates',
  /** The tag is wrong (another key, a changed bit), or what it protects is not padded as it should be. */
  state_protocol: 'XfrmInStateProtoError',
  /** What came out is no IP packet of the family that the next header names. */
  state_mode: 'XfrmInStateModeError',
  /** A replay, or too old for the window. */
  state_sequence: 'XfrmInStateSeqError',
  /** The inner source is not one that this peer may send from, or the inner destination is none of this node. */
  template_mismatched: 'XfrmInTmplMismatch',
} as const;

export const OUTBOUND_DROPS = {
  /** No SA towards the peer: nothing leaves unsealed. */
  no_state: 'XfrmOutNoStates',
  /** What is to be sealed is no IP packet. */
  state_mode: 'XfrmOutStateModeError',
  /** The counter has reached its end: it stops rather than wraps. */
  state_sequence: 'XfrmOutStateSeqError',
  /** The key has sealed as much as it may. */
  state_expired: 'XfrmOutStateExpired',
} as const;

export type InboundDrop = keyof typeof INBOUND_DROPS;
export type OutboundDrop = keyof typeof OUTBOUND_DROPS;
