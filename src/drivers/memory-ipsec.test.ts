import { ipsecContract } from './ipsec-contract.ts';
import { MemoryIpsec } from './memory-ipsec.ts';

ipsecContract('memory', async () => new MemoryIpsec());
