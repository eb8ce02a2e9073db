/** Remote command streams over one WebSocket: the protocol v5.channel.k8s.io. The first byte of a message is its channel. */

export const protocol = 'v5.channel.k8s.io';
export const channel = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, close: 255 } as const;

export type ChannelMessage =
  | { kind: 'stdin'; data: Buffer }
  | { kind: 'stdinClosed' }
  | { kind: 'resize'; columns: number; rows: number }
  | { kind: 'unknown' };

/** A message from the client. */
export function parseMessage(message: Buffer): ChannelMessage {
  const data = message.subarray(1);
  switch (message[0]) {
    case channel.stdin:
      return { kind: 'stdin', data };
    case channel.close:
      return data[0] === channel.stdin ? { kind: 'stdinClosed' } : { kind: 'unknown' };
    case channel.resize:
      return parseResize(data.toString('utf8'));
    default:
      return { kind: 'unknown' };
  }
}

/** A message to the client. */
export function frame(number: number, data: Uint8Array | string): Buffer {
  return Buffer.concat([Buffer.of(number), typeof data === 'string' ? Buffer.from(data) : data]);
}

/** What ends a session, on the status channel. */
export function exitStatus(code: number): object {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}

export function failureStatus(message: string): object {
  return { metadata: {}, status: 'Failure', message, reason: 'InternalError', code: 500 };
}

function parseResize(text: string): ChannelMessage {
  try {
    const { Width, Height } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    if (isSize(Width) && isSize(Height)) return { kind: 'resize', columns: Width, rows: Height };
  } catch {
    // not a size
  }
  return { kind: 'unknown' };
}

function isSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
}
