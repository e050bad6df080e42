package org.ftcluster.protocol.security;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** An authority that certifies whatever it is asked to, by the JDK's keytool. */
final class TestAuthority {
  private static final String PASSWORD = "changeit";
  private static final String AUTHORITY = "authority";

  private final Path folder;
  private final Path store;

  TestAuthority(Path folder) throws Exception {
    this.folder = folder;
    store = folder.resolve("authority.p12");
    keytool(
        List.of("-genkeypair", "-alias", AUTHORITY, "-keyalg", "EC", "-dname", "CN=Authority"),
        List.of("-ext", "bc=ca:true"));
  }

  /**
   * Issues credentials.
   *
   * @param name of the folder
   * @param options of the certificate, as keytool takes them
   */
  Path issue(String name, String algorithm, String... options) throws Exception {
    keytool(
        List.of("-genkeypair", "-alias", name, "-keyalg", algorithm, "-dname", "CN=" + name),
        List.of("-signer", AUTHORITY),
        List.of(options));
    KeyStore opened = open();
    Path issued = Files.createDirectory(folder.resolve(name));
    StringBuilder chain = new StringBuilder();
    for (Certificate certificate : opened.getCertificateChain(name)) {
      chain.append(pem("CERTIFICATE", certificate.getEncoded()));
    }
    Files.writeString(issued.resolve("tls.crt"), chain);
    Files.writeString(
        issued.resolve("tls.key"),
        pem("PRIVATE KEY", opened.getKey(name, PASSWORD.toCharArray()).getEncoded()));
    Files.writeString(
        issued.resolve("ca.crt"),
        pem("CERTIFICATE", opened.getCertificate(AUTHORITY).getEncoded()));
    return issued;
  }

  private KeyStore open() throws IOException, GeneralSecurityException {
    return KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
  }

  private static String pem(String label, byte[] der) {
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n"
        .formatted(label, Base64.getMimeEncoder().encodeToString(der), label);
  }

  @SafeVarargs
  private void keytool(List<String>... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    for (List<String> more : arguments) {
      command.addAll(more);
    }
    command.addAll(List.of("-storetype", "PKCS12", "-keystore", store.toString()));
    command.addAll(List.of("-storepass", PASSWORD));
    Process keytool = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, keytool.waitFor(), said);
  }
}
