package org.ftcluster.cli.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a JVM of ours begins with. */
class InstallationTest {
  @TempDir private Path home;

  @Test
  void itsJarOrTheClassesOfThisVeryJvm() {
    assertEquals(home + "/cli/target/ftcluster.jar", Installation.classPath(home + "/cli/.."));
    assertEquals(System.getProperty("java.class.path"), Installation.classPath(null));
  }

  @Test
  void noStartWhereNoneIsKept() {
    assertEquals(List.of(where()), Installation.flags("worker", home.toString(), false));
  }

  private String where() {
    return "-Dftcluster.home=" + home;
  }

  @Test
  void noneOutsideAnInstallation() {
    assertEquals(List.of(), Installation.flags("worker", null, true));
  }

  @Test
  void theOneOfItsCommand() throws IOException {
    Path kept = Files.createDirectories(home.resolve("cli/target")).resolve("worker.aot");
    Files.createFile(kept);

    assertEquals(
        List.of(where(), "-XX:AOTCache=" + kept, "-Xlog:aot*=off,cds*=off"),
        Installation.flags("worker", home.toString(), false));
    assertEquals(List.of(where()), Installation.flags("coordinator", home.toString(), false));
  }

  @Test
  void aStartThatIsToBeKeptBeginsWithNone() throws IOException {
    Path kept = Files.createDirectories(home.resolve("cli/target")).resolve("worker.aot");
    Files.createFile(kept);

    assertEquals(
        List.of(where(), "-XX:AOTCacheOutput=" + kept, "-Xlog:aot*=off,cds*=off"),
        Installation.flags("worker", home.toString(), true));
  }
}
