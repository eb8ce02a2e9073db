/** Why a message was dropped: the names under which drops are counted. */
export const DROP_REASONS = [
  'malformed',
  'noPrivateKey',
  'badMac1',
  'cookieRequired',
  'rateLimited',
  'unknownPeer',
  'lowOrderPoint',
  'undecryptable',
  'replayedInitiation',
  'initiationFlood',
  'unknownIndex',
  'unexpectedResponse',
  'unexpectedCookie',
  'linkDown',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];
