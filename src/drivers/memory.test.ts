import { wireguardContract } from './contract.ts';
import { MemoryWireGuard } from './memory.ts';

wireguardContract('memory', async () => new MemoryWireGuard());
