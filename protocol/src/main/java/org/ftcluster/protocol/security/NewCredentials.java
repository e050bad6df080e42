package org.ftcluster.protocol.security;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.file.DurableFiles;

/**
 * Makes the credentials of a new cluster: one key on the curve P-256, and a certificate that it
 * signs itself, which all members show and trust. Whoever has the folder is a member.
 */
public final class NewCredentials {
  private static final String DAYS = "3650";
  private static final String STORE = "new.p12";
  private static final String PASSWORD = "FTCLUSTER_NEW_KEY";
  private static final int PASSWORD_BYTES = 32;
  private static final long KEYTOOL_SECONDS = 60;
  private static final Base64.Encoder LINES =
      Base64.getMimeEncoder(64, new byte[] {'\n'}); // RFC 7468, 2.

  private NewCredentials() {}

  /**
   * Makes {@code folder}, which only this user may read, or fills an empty one.
   *
   * @throws BadCredentialsException when there is something in it, or it can't be written
   */
  public static void create(Path folder) {
    try {
      makeEmpty(folder);
      Path store = folder.resolve(STORE);
      try {
        String password = password();
        keytool(store, password);
        writePem(folder, open(store, password), password);
      } finally {
        Files.deleteIfExists(store);
      }
    } catch (IOException | GeneralSecurityException | UnsupportedOperationException e) {
      throw new BadCredentialsException("Keys can't be made in %s: %s.".formatted(folder, e), e);
    }
  }

  private static void makeEmpty(Path folder) throws IOException {
    Path parent = folder.toAbsolutePath().getParent();
    if (parent != null) {
      Files.createDirectories(parent);
    }
    if (!Files.exists(folder)) {
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    try (var inside = Files.list(folder)) {
      if (inside.findAny().isPresent()) {
        throw new BadCredentialsException(
            "%s is not empty; give a new folder, as keys in use must not be overwritten."
                .formatted(folder));
      }
    }
  }

  private static String password() {
    byte[] random = new byte[PASSWORD_BYTES];
    new SecureRandom().nextBytes(random);
    return HexFormat.of().formatHex(random);
  }

  /** The JDK makes certificates by this program alone. */
  private static void keytool(Path store, String password) throws IOException {
    ProcessBuilder keytool =
        new ProcessBuilder(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                Credentials.MEMBER,
                "-keyalg",
                "EC",
                "-groupname",
                "secp256r1",
                "-dname",
                "CN=" + Credentials.MEMBER,
                "-ext",
                "san=dns:" + Credentials.MEMBER,
                "-startdate",
                "-1d", // clocks differ
                "-validity",
                DAYS,
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass:env",
                PASSWORD));
    keytool.environment().put(PASSWORD, password);
    keytool.redirectErrorStream(true);
    Process process = keytool.start();
    process.getOutputStream().close();
    try {
      if (!process.waitFor(KEYTOOL_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException("keytool has not ended after %d s".formatted(KEYTOOL_SECONDS));
      }
      if (process.exitValue() != 0) {
        throw new IOException(
            "keytool: "
                + new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8));
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private static KeyStore open(Path store, String password)
      throws IOException, GeneralSecurityException {
    KeyStore opened = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      opened.load(in, password.toCharArray());
    }
    return opened;
  }

  private static void writePem(Path folder, KeyStore store, String password)
      throws IOException, GeneralSecurityException {
    Key key = store.getKey(Credentials.MEMBER, password.toCharArray());
    Certificate certificate = store.getCertificate(Credentials.MEMBER);
    String certified = pem("CERTIFICATE", certificate.getEncoded());
    Path keyFile = folder.resolve(Credentials.KEY);
    Files.createFile(
        DurableFiles.partial(keyFile),
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    DurableFiles.write(keyFile, pem("PRIVATE KEY", key.getEncoded()));
    DurableFiles.write(folder.resolve(Credentials.AUTHORITIES), certified);
    DurableFiles.write(folder.resolve(Credentials.CERTIFICATE), certified);
  }

  private static String pem(String label, byte[] der) {
    return "-----BEGIN %s-----%n%s%n-----END %s-----%n"
        .formatted(label, LINES.encodeToString(der), label);
  }
}
