package org.ftcluster.protocol.security;

import java.net.Socket;
import java.security.cert.CertificateException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * Takes for a member whoever shows a certificate that one of the cluster's authorities has issued,
 * and that names {@link Credentials#MEMBER} among its DNS names (RFC 5280, 4.2.1.6). What host it
 * comes from doesn't matter: hosts come and go, and have no names. The name keeps out what the same
 * authority has certified for other purposes.
 */
final class MemberTrust extends X509ExtendedTrustManager {
  private static final int DNS_NAME = 2;

  private final X509TrustManager issued;

  /**
   * @param issued checks who has issued the certificates of a chain
   */
  MemberTrust(X509TrustManager issued) {
    this.issued = issued;
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType)
      throws CertificateException {
    check(chain[0], () -> issued.checkClientTrusted(chain, authType));
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType)
      throws CertificateException {
    check(chain[0], () -> issued.checkServerTrusted(chain, authType));
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType, Socket socket)
      throws CertificateException {
    checkClientTrusted(chain, authType);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType, Socket socket)
      throws CertificateException {
    checkServerTrusted(chain, authType);
  }

  @Override
  public void checkClientTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
      throws CertificateException {
    checkClientTrusted(chain, authType);
  }

  @Override
  public void checkServerTrusted(X509Certificate[] chain, String authType, SSLEngine engine)
      throws CertificateException {
    checkServerTrusted(chain, authType);
  }

  @Override
  public X509Certificate[] getAcceptedIssuers() {
    return issued.getAcceptedIssuers();
  }

  /** Who has issued what an end shows. */
  private interface IssuerCheck {
    void run() throws CertificateException;
  }

  private static void check(X509Certificate shown, IssuerCheck issuer) throws CertificateException {
    try {
      issuer.run();
    } catch (CertificateException e) {
      throw stranger(shown, e);
    }
    requireMember(shown);
  }

  private static CertificateException stranger(X509Certificate of, CertificateException why) {
    Throwable cause = why;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return new CertificateException(
        "the certificate of %s is not one of this cluster's: %s"
            .formatted(of.getSubjectX500Principal().getName(), cause.getMessage()),
        why);
  }

  private static void requireMember(X509Certificate certificate) throws CertificateException {
    certificate.checkValidity(); // one that is trusted by itself isn't asked that otherwise
    if (!dnsNames(certificate).contains(Credentials.MEMBER)) {
      throw new CertificateException(
          "the certificate of %s doesn't have the DNS name %s, as those of members do"
              .formatted(certificate.getSubjectX500Principal().getName(), Credentials.MEMBER));
    }
  }

  private static List<String> dnsNames(X509Certificate certificate)
      throws CertificateParsingException {
    Collection<List<?>> names = certificate.getSubjectAlternativeNames();
    return names == null
        ? List.of()
        : names.stream()
            .filter(name -> name.getFirst().equals(DNS_NAME))
            .map(name -> String.valueOf(name.get(1)))
            .toList();
  }
}
