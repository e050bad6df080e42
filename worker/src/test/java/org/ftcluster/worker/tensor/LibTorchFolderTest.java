package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LibTorchFolderTest {
  @BeforeEach
  void nothingIsSet() {
    System.clearProperty(LibTorchFolder.PROPERTY);
    assumeTrue(LibTorchFolder.setting() == null, "this environment names a libtorch");
  }

  @AfterEach
  void forget() {
    System.clearProperty(LibTorchFolder.PROPERTY);
  }

  @Test
  void aSettingNamesTheFolderAndItself() {
    System.setProperty(LibTorchFolder.PROPERTY, "/opt/torch/lib");
    assertEquals(
        new LibTorchFolder.Setting("/opt/torch/lib", "FTCLUSTER_LIBTORCH"),
        LibTorchFolder.setting());
  }

  @Test
  void anEmptySettingIsNone() {
    System.setProperty(LibTorchFolder.PROPERTY, " ");
    assertNull(LibTorchFolder.setting());
  }
}
