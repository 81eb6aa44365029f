import pytest
import torch
from torch import nn

from sapiens_mm.heads.upsample import conv_layers, deconv_layers


@pytest.mark.parametrize('kernel_size', [2, 3, 4])
def test_each_deconvolution_doubles_the_size(kernel_size):
    layers = deconv_layers(4, (6, 8), (kernel_size, kernel_size))
    assert layers(torch.randn(1, 4, 5, 7)).shape == (1, 8, 20, 28)


def test_weights_sit_where_the_released_ones_do_and_norms_have_none():
    assert list(deconv_layers(4, (6, 8), (4, 4)).state_dict()) == ['0.weight', '3.weight']
    assert list(conv_layers(4, (6, 8), (1, 1)).state_dict()) == ['0.weight', '0.bias', '3.weight', '3.bias']
    kinds = [type(m) for m in deconv_layers(4, (6, ), (4, ))]
    assert kinds == [nn.ConvTranspose2d, nn.InstanceNorm2d, nn.SiLU]


def test_statistics_are_the_pictures_own_in_evaluation_too():
    layers = conv_layers(4, (6, ), (1, )).eval()
    a, b = torch.randn(1, 4, 5, 5), 100 * torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(layers(torch.cat([a, b]))[:1], layers(a))


def test_other_kernels_are_refused():
    with pytest.raises(ValueError, match='2, 3 or 4'):
        deconv_layers(4, (6, ), (5, ))
