package org.ftcluster.protocol.security;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;

/**
 * What makes a process a member of a cluster: a certificate with its key, and the authorities whose
 * certificates it trusts. Read once, from three files in PEM, named as Kubernetes names them in a
 * secret. All connections are TLS 1.3 (RFC 8446), in which both ends show their certificates.
 *
 * <p>Any thread may use it.
 */
public final class Credentials {
  /** The DNS name that certificates of members have. */
  public static final String MEMBER = "ftcluster";

  /** The certificate, and those between it and an authority, if there are any. */
  static final String CERTIFICATE = "tls.crt";

  /** The certificate's private key, in PKCS #8, not encrypted. */
  static final String KEY = "tls.key";

  static final String AUTHORITIES = "ca.crt";

  private static final List<String> PROTOCOLS = List.of("TLSv1.3");

  /** RFC 7468, 10. */
  private static final Pattern PKCS8 =
      Pattern.compile("-----BEGIN PRIVATE KEY-----([^-]*)-----END PRIVATE KEY-----");

  private static final char[] IN_MEMORY = new char[0];

  private final KeyManager own;
  private final MemberTrust trust;
  private final SSLContext context;

  private Credentials(KeyManager own, MemberTrust trust) throws GeneralSecurityException {
    this.own = own;
    this.trust = trust;
    context = SSLContext.getInstance("TLS");
    context.init(new KeyManager[] {own}, new TrustManager[] {trust}, null);
  }

  /**
   * Reads a folder's files, and checks that others will take this member for one.
   *
   * @throws BadCredentialsException when a file isn't there or isn't what it should be
   */
  public static Credentials read(Path folder) {
    List<X509Certificate> chain = certificates(folder.resolve(CERTIFICATE));
    PrivateKey key = key(folder.resolve(KEY), chain.getFirst().getPublicKey());
    List<X509Certificate> authorities = certificates(folder.resolve(AUTHORITIES));
    try {
      requirePair(key, chain.getFirst(), folder);
      MemberTrust trust = trust(authorities);
      requireMember(trust, chain, folder);
      return new Credentials(own(key, chain), trust);
    } catch (GeneralSecurityException | IOException e) {
      throw new BadCredentialsException(
          "The certificate and key in %s can't be used: %s.".formatted(folder, e.getMessage()), e);
    }
  }

  /** Shows this member's certificate. */
  public KeyManager keyManager() {
    return own;
  }

  /** Tells members from others, at either end of a connection. */
  public TrustManager trustManager() {
    return trust;
  }

  /** For libraries that ask for it; connections get the engines of {@link #calledEngine}. */
  public SSLContext context() {
    return context;
  }

  /** For the end of a connection that has called. */
  public SSLEngine callerEngine() {
    return protect(context.createSSLEngine(), true);
  }

  /** For the end of a connection that was called. */
  public SSLEngine calledEngine() {
    return protect(context.createSSLEngine(), false);
  }

  private static SSLEngine protect(SSLEngine engine, boolean caller) {
    SSLParameters parameters = engine.getSSLParameters();
    parameters.setProtocols(PROTOCOLS.toArray(String[]::new));
    parameters.setNeedClientAuth(!caller);
    engine.setSSLParameters(parameters);
    engine.setUseClientMode(caller);
    return engine;
  }

  /** The only versions of TLS that members speak. */
  public static List<String> protocols() {
    return PROTOCOLS;
  }

  private static List<X509Certificate> certificates(Path file) {
    try {
      List<X509Certificate> certificates =
          CertificateFactory.getInstance("X.509")
              .generateCertificates(new ByteArrayInputStream(bytes(file)))
              .stream()
              .map(X509Certificate.class::cast)
              .toList();
      if (!certificates.isEmpty()) {
        return certificates;
      }
    } catch (CertificateException e) {
      throw notPem(file, e);
    }
    throw notPem(file, null);
  }

  private static BadCredentialsException notPem(Path file, @Nullable Throwable cause) {
    return new BadCredentialsException(
        "%s holds no certificates in PEM (-----BEGIN CERTIFICATE-----).".formatted(file), cause);
  }

  private static PrivateKey key(Path file, PublicKey certified) {
    Matcher pem = PKCS8.matcher(new String(bytes(file), StandardCharsets.ISO_8859_1));
    if (!pem.find()) {
      throw notPkcs8(file, null);
    }
    try {
      byte[] encoded = Base64.getMimeDecoder().decode(pem.group(1));
      return KeyFactory.getInstance(certified.getAlgorithm())
          .generatePrivate(new PKCS8EncodedKeySpec(encoded));
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      throw notPkcs8(file, e);
    }
  }

  private static BadCredentialsException notPkcs8(Path file, @Nullable Throwable cause) {
    return new BadCredentialsException(
        ("%s holds no private key of the certificate's kind in PKCS #8 (-----BEGIN PRIVATE"
                + " KEY-----); `openssl pkcs8 -topk8 -nocrypt` makes one of other forms.")
            .formatted(file),
        cause);
  }

  private static byte[] bytes(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new BadCredentialsException(
          ("%s can't be read (%s); a folder of credentials holds %s, %s and %s, as `ftcluster keys"
                  + " FOLDER` makes them.")
              .formatted(file, e.getClass().getSimpleName(), CERTIFICATE, KEY, AUTHORITIES),
          e);
    }
  }

  private static void requirePair(PrivateKey key, X509Certificate certificate, Path folder)
      throws GeneralSecurityException {
    Signature signature = Signature.getInstance(signatureBy(key));
    byte[] message = MEMBER.getBytes(StandardCharsets.US_ASCII);
    signature.initSign(key);
    signature.update(message);
    byte[] signed = signature.sign();
    signature.initVerify(certificate);
    signature.update(message);
    if (!signature.verify(signed)) {
      throw new BadCredentialsException(
          "In %s, %s is not the key of the certificate in %s.".formatted(folder, KEY, CERTIFICATE));
    }
  }

  private static String signatureBy(PrivateKey key) {
    return switch (key.getAlgorithm()) {
      case "EC" -> "SHA256withECDSA";
      case "RSA" -> "SHA256withRSA";
      default -> key.getAlgorithm();
    };
  }

  private static void requireMember(MemberTrust trust, List<X509Certificate> chain, Path folder) {
    try {
      X509Certificate[] shown = chain.toArray(X509Certificate[]::new);
      trust.checkServerTrusted(shown, "UNKNOWN");
      trust.checkClientTrusted(shown, "UNKNOWN");
    } catch (CertificateException e) {
      throw new BadCredentialsException(
          "No member of the cluster would accept %s: %s."
              .formatted(folder.resolve(CERTIFICATE), e.getMessage()),
          e);
    }
  }

  private static MemberTrust trust(List<X509Certificate> authorities)
      throws GeneralSecurityException, IOException {
    KeyStore store = emptyStore();
    for (int i = 0; i < authorities.size(); i++) {
      store.setCertificateEntry("authority" + i, authorities.get(i));
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
    factory.init(store);
    return new MemberTrust(
        Arrays.stream(factory.getTrustManagers())
            .filter(X509TrustManager.class::isInstance)
            .map(X509TrustManager.class::cast)
            .findFirst()
            .orElseThrow());
  }

  private static KeyManager own(PrivateKey key, List<X509Certificate> chain)
      throws GeneralSecurityException, IOException {
    KeyStore store = emptyStore();
    store.setKeyEntry(MEMBER, key, IN_MEMORY, chain.toArray(X509Certificate[]::new));
    KeyManagerFactory factory = KeyManagerFactory.getInstance("PKIX");
    factory.init(store, IN_MEMORY);
    return factory.getKeyManagers()[0];
  }

  private static KeyStore emptyStore() throws GeneralSecurityException, IOException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    return store;
  }
}
