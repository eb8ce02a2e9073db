import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { issueAuthority, issueLeaf } from './certificates.ts';

test('leaf certificates are signed by the authority and carry names', async () => {
  const now = new Date();
  const ca = await issueAuthority({ commonName: 'kubernetes' }, now);
  const leaf = await issueLeaf(ca, { commonName: 'admin', organizations: ['system:masters', 'second'] }, now);
  const certificate = new X509Certificate(leaf.cert);
  const authority = new X509Certificate(ca.cert);
  assert.ok(authority.ca);
  assert.ok(certificate.verify(authority.publicKey));
  assert.ok(certificate.checkIssued(authority));
  assert.ok(certificate.checkPrivateKey(createPrivateKey(leaf.key)));
  assert.equal(certificate.subject, 'O=system:masters\nO=second\nCN=admin');
  assert.ok(Date.parse(certificate.validFrom) < now.getTime());
});

test('a TLS server and a client with such certificates trust each other', async () => {
  const ca = await issueAuthority({ commonName: 'kubernetes' }, new Date());
  const [serverPair, clientPair] = await Promise.all([
    issueLeaf(ca, { commonName: 'server', hosts: ['127.0.0.1', 'localhost', 'fd00::1'] }, new Date()),
    issueLeaf(ca, { commonName: 'client' }, new Date()),
  ]);
  const server = createServer({ ...serverPair, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({ host: '127.0.0.1', port, ca: ca.cert, ...clientPair });
  await once(client, 'secureConnect');
  assert.equal(client.authorized, true);
  const [socket] = await accepted;
  assert.equal(socket.getPeerCertificate().subject.CN, 'client');
  client.destroy();
  socket.destroy();
  server.close();
});
