package org.ftcluster.protocol.security;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Locale;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManager;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Who is a member, and which files make one. */
class CredentialsTest {
  private static final String MEMBER = "san=dns:ftcluster";

  @TempDir static Path folder;
  private static Path ours;
  private static Path theirs;
  private static TestAuthority authority;

  @BeforeAll
  static void makeKeys() throws Exception {
    ours = folder.resolve("new/ours");
    theirs = folder.resolve("theirs");
    NewCredentials.create(ours);
    NewCredentials.create(theirs);
    authority = new TestAuthority(folder);
  }

  @Test
  void newKeysAreThisUsersAloneAndDontReplaceOthers() throws Exception {
    assertEquals("rwx------", permissions(ours));
    assertEquals("rw-------", permissions(ours.resolve("tls.key")));
    try (var files = Files.list(ours)) {
      assertEquals(
          List.of("ca.crt", "tls.crt", "tls.key"),
          files.map(file -> file.getFileName().toString()).sorted().toList());
    }
    assertRefused("is not empty", () -> NewCredentials.create(ours));
  }

  private static String permissions(Path path) throws Exception {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }

  @Test
  void membersWithTheSameKeysConnectByTls13() throws Exception {
    assertEquals("TLSv1.3", connect(ours, ours));
  }

  @Test
  void whoHasOtherKeysIsRefusedAtEitherEnd() {
    SSLException caller = assertThrows(SSLException.class, () -> connect(ours, theirs));
    assertTrue(caller.getMessage().contains("is not one of this cluster's"), caller.getMessage());
    assertThrows(SSLException.class, () -> connect(theirs, ours));
  }

  @Test
  void whoShowsNoCertificateIsRefused() throws Exception {
    SSLContext nobody = SSLContext.getInstance("TLS");
    nobody.init(null, new TrustManager[] {Credentials.read(ours).trustManager()}, null);
    SSLEngine caller = nobody.createSSLEngine();
    caller.setUseClientMode(true);
    SSLException e =
        assertThrows(
            SSLException.class,
            () -> InMemory.handshake(caller, Credentials.read(ours).calledEngine()));
    assertTrue(e.getMessage().toLowerCase(Locale.ROOT).contains("certificate"), e.getMessage());
  }

  @ParameterizedTest
  @CsvSource({"EC, RSA", "RSA, EdDSA"})
  void membersOfAnAuthorityConnectEachWithAKeyOfItsOwn(String one, String other) throws Exception {
    Path caller = authority.issue("caller-" + one, one, "-ext", MEMBER);
    Path called = authority.issue("called-" + other, other, "-ext", MEMBER);
    assertEquals("TLSv1.3", connect(caller, called));
    assertEquals("TLSv1.3", connect(called, caller));
  }

  @Test
  void whomTheAuthorityHasCertifiedForSomethingElseIsNoMember() throws Exception {
    Path server = authority.issue("server", "EC", "-ext", "san=dns:server.example.org");
    assertRefused("doesn't have the DNS name ftcluster", () -> Credentials.read(server));
    Path nameless = authority.issue("nameless", "EC");
    assertRefused("doesn't have the DNS name ftcluster", () -> Credentials.read(nameless));
  }

  @Test
  void aCertificateMustBeGoodForBothEndsOfAConnection() throws Exception {
    Path server = authority.issue("one-end", "EC", "-ext", MEMBER, "-ext", "eku=serverAuth");
    assertRefused("No member of the cluster would accept", () -> Credentials.read(server));
    Path both =
        authority.issue("both-ends", "EC", "-ext", MEMBER, "-ext", "eku=serverAuth,clientAuth");
    assertEquals("TLSv1.3", connect(both, both));
  }

  @Test
  void aCertificateThatHasExpiredIsRefusedBeforeAnyConnection() throws Exception {
    Path expired =
        authority.issue("expired", "EC", "-ext", MEMBER, "-startdate", "-3d", "-validity", "1");
    assertRefused("NotAfter", () -> Credentials.read(expired));
  }

  @Test
  void filesThatDontBelongTogetherAreNamed() throws Exception {
    assertRefused(
        "tls.key is not the key of the certificate in tls.crt",
        () -> Credentials.read(mixed("key", "tls.key", theirs)));
    assertRefused(
        "No member of the cluster would accept",
        () -> Credentials.read(mixed("authority", "ca.crt", theirs)));
  }

  @Test
  void filesThatAreMissingOrSomethingElseAreNamed() throws Exception {
    assertRefused("tls.crt can't be read", () -> Credentials.read(folder.resolve("nowhere")));
    Path pkcs1 = mixed("pkcs1", "tls.key", theirs);
    Files.writeString(
        pkcs1.resolve("tls.key"),
        Files.readString(ours.resolve("tls.key")).replace("PRIVATE KEY", "EC PRIVATE KEY"));
    assertRefused("openssl pkcs8", () -> Credentials.read(pkcs1));
    Path empty = mixed("empty", "ca.crt", theirs);
    Files.writeString(empty.resolve("ca.crt"), "");
    assertRefused("holds no certificates in PEM", () -> Credentials.read(empty));
    Files.writeString(empty.resolve("ca.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n");
    assertRefused("holds no certificates in PEM", () -> Credentials.read(empty));
  }

  /** Ours, with one file of others. */
  private static Path mixed(String name, String file, Path from) throws Exception {
    Path mixed = Files.createDirectory(folder.resolve("mixed-" + name));
    for (String each : List.of("tls.crt", "tls.key", "ca.crt")) {
      Files.copy(ours.resolve(each), mixed.resolve(each));
    }
    Files.copy(from.resolve(file), mixed.resolve(file), StandardCopyOption.REPLACE_EXISTING);
    return mixed;
  }

  private static String connect(Path caller, Path called) throws SSLException {
    return InMemory.handshake(
        Credentials.read(caller).callerEngine(), Credentials.read(called).calledEngine());
  }

  private interface Call {
    void run() throws Exception;
  }

  private static void assertRefused(String part, Call call) {
    String message = assertThrows(BadCredentialsException.class, call::run).getMessage();
    assertTrue(String.valueOf(message).contains(part), message);
  }
}
