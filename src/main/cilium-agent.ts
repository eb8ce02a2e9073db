import { runAgent } from '../agent/agent.ts';
import { messageOf } from '../agent/log.ts';
import { parseOptions } from '../agent/options.ts';
import { leaveTerminationMessage } from '../agent/pod.ts';

try {
  await runAgent(parseOptions(process.argv.slice(2), process.env));
  process.exit(0);
} catch (error) {
  process.stderr.write(`cilium-agent: ${messageOf(error)}\n`);
  leaveTerminationMessage(messageOf(error));
  process.exit(1);
}
