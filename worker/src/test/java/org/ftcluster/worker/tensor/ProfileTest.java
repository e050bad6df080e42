package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.junit.jupiter.api.Test;

class ProfileTest {
  @Test
  void operationsOfTheThreadAreSummedByName() throws InterruptedException {
    Aten.initialize();
    try (Scope scope = Scope.persistent()) {
      Tensor a = scope.zeros(DType.FLOAT32, 3, 5);
      Tensor b = scope.zeros(DType.FLOAT32, 5, 2);
      Tensor out = scope.zeros(DType.FLOAT32, 3, 2);
      Aten.mm(out, a, b);
      Profile profile = Profile.start();
      Aten.mm(out, a, b);
      Aten.addmm(out, a, b, 1, 1);
      RowOps.add(out, out);
      Thread other = new Thread(() -> RowOps.add(out, out));
      other.start();
      other.join(10_000);
      List<Profile.Sum> sums = profile.stop();
      Aten.mm(out, a, b);

      assertEquals(2, sums.size());
      Profile.Sum product = named(sums, "product 3 x 5 x 2");
      assertEquals(2, product.calls());
      assertEquals(2 * 2.0 * 3 * 5 * 2, product.flops());
      assertTrue(product.seconds() > 0);
      Profile.Sum add = named(sums, "add");
      assertEquals(1, add.calls(), "the other thread's isn't counted");
      assertEquals(3 * 3 * 2 * 4, add.bytes());
      assertEquals(product.flops() / 4, product.per(4).flops());
    }
    assertFalse(Profile.isActive());
  }

  private static Profile.Sum named(List<Profile.Sum> sums, String name) {
    return sums.stream().filter(sum -> sum.operation().equals(name)).findFirst().orElseThrow();
  }
}
