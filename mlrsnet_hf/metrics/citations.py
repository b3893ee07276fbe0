"""Works that the metrics come from, as BibTeX."""

PAPER = """\
@article{qi2020mlrsnet,
  title   = {{MLRSNet}: A multi-label high spatial resolution remote sensing dataset for semantic scene understanding},
  author  = {Qi, Xiaoman and Zhu, Panpan and Wang, Yuebin and Zhang, Liqiang and Peng, Junhuan and Wu, Mengfan and
             Chen, Jialong and Zhao, Xudong and Zang, Ning and Mathiopoulos, P. Takis},
  journal = {ISPRS Journal of Photogrammetry and Remote Sensing},
  volume  = {169},
  pages   = {337--350},
  year    = {2020}
}"""
PAPER_URL = "https://doi.org/10.1016/j.isprsjprs.2020.09.020"

MPEG7 = """\
@article{manjunath2001color,
  title   = {Color and texture descriptors},
  author  = {Manjunath, B. S. and Ohm, Jens-Rainer and Vasudevan, Vinod V. and Yamada, Akio},
  journal = {IEEE Transactions on Circuits and Systems for Video Technology},
  volume  = {11},
  number  = {6},
  pages   = {703--715},
  year    = {2001}
}"""
