package org.ftcluster.protocol.cluster;

import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLSession;
import org.apache.pekko.remote.artery.tcp.SSLEngineProvider;
import org.ftcluster.protocol.security.Credentials;
import scala.Option;

/** Encrypts what nodes say to each other, for Pekko. Who is a member shows in the handshake. */
final class MemberEngines implements SSLEngineProvider {
  private final Credentials own;

  MemberEngines(Credentials own) {
    this.own = own;
  }

  @Override
  public SSLEngine createServerSSLEngine(String host, int port) {
    return own.calledEngine();
  }

  @Override
  public SSLEngine createClientSSLEngine(String host, int port) {
    return own.callerEngine();
  }

  @Override
  public Option<Throwable> verifyClientSession(String host, SSLSession session) {
    return Option.empty();
  }

  @Override
  public Option<Throwable> verifyServerSession(String host, SSLSession session) {
    return Option.empty();
  }
}
